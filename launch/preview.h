/* Contact sheets: one PNG per finished chunk, every latent frame as a small picture with its number, so that a bad run
 * can be stopped early.
 *
 * Colours come from the linear fit of latents to RGB that ComfyUI publishes for the Wan 2.1 VAE. On rank 0; not
 * collective. */
#ifndef REEL_PREVIEW_H
#define REEL_PREVIEW_H

#include "event.h"
#include "status.h"

/* Makes the folder where it is missing. REEL_BAD_OUTPUT when it cannot be, or takes no file. */
enum reel_status reel_preview_open(const char *folder);

/* Writes folder/chunk-000.png for a finished chunk, aside and then renamed. REEL_BAD_OUTPUT, with errno's text, when it
 * cannot be written; REEL_BAD_JOB when latents do not have the 16 channels that the fit is for. */
enum reel_status reel_preview_write(const char *folder, const struct reel_event *chunk);

#endif
