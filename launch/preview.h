/* Contact sheets: one PNG per finished chunk, every latent frame as a small picture with its number, so that
 * a bad run can be stopped early.
 *
 * The colours are ComfyUI's published linear fit from latents to RGB for the Wan 2.1 VAE. On rank 0; not
 * collective. */
#ifndef REEL_PREVIEW_H
#define REEL_PREVIEW_H

#include "event.h"
#include "status.h"

/* Makes the folder if it is missing. REEL_BAD_OUTPUT if it cannot be made or is not writable. */
enum reel_status reel_preview_open(const char *folder);

/* Writes folder/chunk-000.png for a finished chunk, first to a temporary file that is then renamed. chunk is
 * a REEL_EVENT_CHUNK. REEL_BAD_OUTPUT, with errno's text, if it cannot be written; REEL_BAD_JOB if the
 * latents do not have the 16 channels that the fit is for. */
enum reel_status reel_preview_write(const char *folder, const struct reel_event *chunk);

#endif
