/* Reads a device by its name from a table such as configs/devices.yaml.
 *
 *     struct reel_device_rates device;
 *     REEL_PASS(reel_device_rates_read("", "h200", &device));      143771 MiB, 790 TFLOP/s of bf16 */
#ifndef REEL_DEVICE_FILE_H
#define REEL_DEVICE_FILE_H

#include "device_rates.h"
#include "status.h"

/* Not collective. Reads the device with that name from the table at path. If path is empty, the table is
 * ../share/reel/configs/devices.yaml (installed) or else ../configs/devices.yaml (a build in the source
 * tree), relative to the folder of the program. REEL_BAD_INPUT when the file does not exist. REEL_BAD_JOB,
 * naming the line, when it is not a table of devices; REEL_BAD_JOB, naming all devices of the table, when it
 * has none with that name. REEL_NO_MEMORY. */
enum reel_status reel_device_rates_read(const char *path, const char *name, struct reel_device_rates *device);

/* Not collective. Reads a size as users write it: "80GiB", "24GB", "143771MiB", or bytes without a unit.
 * REEL_BAD_JOB otherwise; its message begins with what, such as "--device-memory". */
enum reel_status reel_size_read(const char *what, const char *text, int64_t *bytes);

#endif
