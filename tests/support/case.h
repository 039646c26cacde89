/* A sampling case of tests/reference as a job file. */
#ifndef REEL_TEST_CASE_H
#define REEL_TEST_CASE_H

#include "job.h"
#include "reference_file.h"

/* Writes the job file of a case (folder/NAME.inputs and .expected.safetensors) with that model and output,
 * and returns its path, valid until the next call. extra is further YAML of the job, or "". */
const char *case_write(const char *folder, const char *name, const char *model, const char *output,
                       struct reference_file *expected, const char *extra);

#endif
