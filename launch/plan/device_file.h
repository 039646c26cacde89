/* Devices by name, from a table such as configs/devices.yaml.
 *
 *     struct reel_device_rates device;
 *     REEL_PASS(reel_device_rates_read("", "h200", &device));      143771 MiB, 790 TFLOP/s of bf16 */
#ifndef REEL_DEVICE_FILE_H
#define REEL_DEVICE_FILE_H

#include "device_rates.h"
#include "status.h"

/* Not collective. Reads the device of that name from the table at path; where path is empty, from
 * configs/devices.yaml beside the program's folder. REEL_BAD_INPUT when there is no such file;
 * REEL_BAD_JOB, naming the line, when it is no table of devices, and naming those that are known when
 * there is no such device. */
enum reel_status reel_device_rates_read(const char *path, const char *name, struct reel_device_rates *device);

/* Not collective. A size as users write it: "80GiB", "24GB", "143771MiB", or bytes. what, as
 * "--device-memory", is for the message of REEL_BAD_JOB. */
enum reel_status reel_size_read(const char *what, const char *text, int64_t *bytes);

#endif
