/* Chunks and timestep matrices agree with the official ones, and an impossible request is refused by the name
 * of its key. */
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "reference_file.h"
#include "test.h"
#include "timesteps.h"

static struct reel_schedule schedule_of(int64_t steps, double shift)
{
    struct reel_schedule schedule;
    enum reel_status status = reel_schedule_make(REEL_UNIPC, steps, shift, &schedule);
    CHECK(status == REEL_OK, "%s", reel_error_here()->cause);
    return schedule;
}

/* The matrix with six steps and shift 8, the schedule of the worked examples. */
static struct reel_timesteps matrix_of(struct reel_timesteps_request request)
{
    struct reel_schedule schedule = schedule_of(6, 8);
    struct reel_timesteps timesteps;
    enum reel_status status = reel_timesteps_make(&request, &schedule, &timesteps);
    CHECK(status == REEL_OK, "%s", reel_error_here()->cause);
    return timesteps;
}

/* Strings of states have one digit per frame: 0 untouched, 1 to 6 the step, 7 finished. A frame that moved
 * and is not finished is updated. */
static void check_states(const struct reel_timesteps *timesteps, int64_t row, const char *before,
                         const char *states)
{
    static const int64_t heard[8] = {999, 999, 975, 941, 888, 799, 615, 0};
    for (int64_t frame = 0; frame < timesteps->frames; frame++) {
        int64_t at = row * timesteps->frames + frame;
        int updates = states[frame] != before[frame] && states[frame] != '7';
        CHECK(timesteps->timestep[at] == heard[states[frame] - '0'], "row %lld, frame %lld: %lld",
              (long long)row, (long long)frame, (long long)timesteps->timestep[at]);
        CHECK(timesteps->update[at] == updates, "row %lld, frame %lld: update %d", (long long)row,
              (long long)frame, timesteps->update[at]);
    }
    CHECK(timesteps->interval[2 * row] == 0 && timesteps->interval[2 * row + 1] == timesteps->frames,
          "row %lld", (long long)row);
}

static void check_matrix(struct reel_timesteps_request request, const char *const *states, int64_t rows)
{
    struct reel_timesteps timesteps = matrix_of(request);
    CHECK(timesteps.rows == rows && timesteps.frames == request.frames, "%lld rows",
          (long long)timesteps.rows);
    for (int64_t row = 0; row < rows; row++)
        check_states(&timesteps, row, states[row], states[row + 1]);
    reel_timesteps_free(&timesteps);
    CHECK(timesteps.timestep == NULL && timesteps.rows == 0, "freed twice is freed once");
}

static void the_worked_examples_come_out(void)
{
    static const char *const together[] = {"00000", "11111", "22222", "33333", "44444", "55555", "66666"};
    static const char *const lagging[] = {"00000", "10000", "20000", "31000", "42000",
                                          "53100", "64200", "75310", "76420", "77531",
                                          "77642", "77753", "77764", "77775", "77776"};
    static const char *const prefixed[] = {"70000", "71111", "72222", "73333", "74444", "75555", "76666"};
    static const char *const lagging_prefixed[] = {"70000", "71000", "72000", "73100", "74200",
                                                   "75310", "76420", "77531", "77642", "77753",
                                                   "77764", "77775", "77776"};
    struct reel_timesteps_request request = {.frames = 5, .window_frames = 5, .block = 1};
    check_matrix(request, together, 6);
    request.ar_step = 2;
    check_matrix(request, lagging, 14);
    request.prefix_frames = 1;
    check_matrix(request, lagging_prefixed, 12);
    request.ar_step = 0;
    check_matrix(request, prefixed, 6);
}

static void blocks_move_as_one_frame_does(void)
{
    struct reel_timesteps single = matrix_of((struct reel_timesteps_request){
        .frames = 5, .prefix_frames = 1, .window_frames = 5, .block = 1, .ar_step = 2});
    struct reel_timesteps triple = matrix_of((struct reel_timesteps_request){
        .frames = 15, .prefix_frames = 3, .window_frames = 15, .block = 3, .ar_step = 2});
    CHECK(single.rows == triple.rows, "%lld rows", (long long)triple.rows);
    for (int64_t i = 0; i < triple.rows * triple.frames; i++)
        CHECK(triple.timestep[i] == single.timestep[i / 3] && triple.update[i] == single.update[i / 3],
              "element %lld", (long long)i);
    reel_timesteps_free(&single);
    reel_timesteps_free(&triple);
}

static void a_window_slides_when_the_next_block_starts(void)
{
    struct reel_timesteps slid =
        matrix_of((struct reel_timesteps_request){.frames = 8, .window_frames = 4, .block = 1, .ar_step = 2});
    CHECK(slid.rows == 20, "%lld rows", (long long)slid.rows);
    for (int64_t row = 0; row < slid.rows; row++) {
        int64_t first = row < 8 ? 0 : row < 14 ? (row - 6) / 2 : 4;
        CHECK(slid.interval[2 * row] == first && slid.interval[2 * row + 1] == first + 4,
              "row %lld: %lld to %lld", (long long)row, (long long)slid.interval[2 * row],
              (long long)slid.interval[2 * row + 1]);
    }
    reel_timesteps_free(&slid);
}

/* Every generated frame takes N steps, in rows whose interval contains it. */
static void check_all_steps_are_taken(struct reel_timesteps_request request)
{
    struct reel_timesteps timesteps = matrix_of(request);
    int64_t last = timesteps.rows - 1;
    for (int64_t frame = 0; frame < request.frames; frame++) {
        int64_t taken = 0,
                fixed = frame < request.prefix_frames || frame >= request.frames - request.end_frames;
        for (int64_t row = 0; row < timesteps.rows; row++)
            taken += timesteps.update[row * request.frames + frame] && frame >= timesteps.interval[2 * row] &&
                     frame < timesteps.interval[2 * row + 1];
        CHECK(taken == (fixed ? 0 : 6),
              "frame %lld of %lld is stepped %lld times (prefix %lld, window %lld, lag %lld)",
              (long long)frame, (long long)request.frames, (long long)taken, (long long)request.prefix_frames,
              (long long)request.window_frames, (long long)request.ar_step);
    }
    CHECK(request.end_frames > 0 || reel_timesteps_runs(&timesteps, last), "the last row is not run");
    reel_timesteps_free(&timesteps);
}

static void every_frame_takes_every_step_inside_the_window(void)
{
    for (int64_t frames = 1; frames <= 9; frames++)
        for (int64_t prefix = 0; prefix < frames; prefix++)
            for (int64_t window = 1; window <= frames; window++)
                for (int64_t lag = window < frames ? (6 + window - 1) / window : 0; lag <= 8; lag++)
                    for (int64_t end = 0; end < 2 && prefix + end < frames; end++)
                        check_all_steps_are_taken((struct reel_timesteps_request){.frames = frames,
                                                                                  .prefix_frames = prefix,
                                                                                  .end_frames = end,
                                                                                  .window_frames = window,
                                                                                  .block = 1,
                                                                                  .ar_step = lag});
}

static void an_end_frame_takes_its_turn_in_rows_that_are_not_run(void)
{
    struct reel_timesteps timesteps = matrix_of((struct reel_timesteps_request){
        .frames = 4, .end_frames = 1, .window_frames = 4, .block = 1, .ar_step = 2});
    CHECK(timesteps.rows == 12, "%lld rows", (long long)timesteps.rows);
    for (int64_t row = 0; row < timesteps.rows; row++) {
        CHECK(timesteps.timestep[row * 4 + 3] == 0 && timesteps.update[row * 4 + 3] == 0, "row %lld",
              (long long)row);
        CHECK(reel_timesteps_runs(&timesteps, row) == (row < 10), "row %lld", (long long)row);
    }
    reel_timesteps_free(&timesteps);
}

static void check_chunk_matrix(struct reference_file *file, const struct reel_job *job,
                               const struct reel_chunk *chunk)
{
    struct reel_schedule schedule = schedule_of(job->sampler.steps, job->sampler.shift);
    struct reel_timesteps_request request = {.frames = chunk->frames + chunk->end_frames,
                                             .prefix_frames = chunk->prefix_frames,
                                             .end_frames = chunk->end_frames,
                                             .window_frames = reel_row_window(job, chunk),
                                             .block = job->diffusion_forcing.causal_block_size,
                                             .ar_step = job->diffusion_forcing.ar_step};
    struct reel_timesteps timesteps;
    enum reel_status status = reel_timesteps_make(&request, &schedule, &timesteps);
    CHECK(status == REEL_OK, "%s", reel_error_here()->cause);
    char name[64];
    snprintf(name, sizeof name, "expected.timestep_matrix.%lld", (long long)chunk->index);
    struct reference_tensor expected;
    CHECK(reference_tensor(file, name, &expected) && expected.shape[0] == timesteps.rows &&
              expected.shape[1] == timesteps.frames,
          "%s: made [%lld, %lld]", name, (long long)timesteps.rows, (long long)timesteps.frames);
    size_t elements = (size_t)(timesteps.rows * timesteps.frames);
    CHECK(memcmp(expected.bytes, timesteps.timestep, elements * sizeof(int64_t)) == 0, "%s", name);
    snprintf(name, sizeof name, "expected.update_mask.%lld", (long long)chunk->index);
    CHECK(memcmp(reference_data(file, name, REEL_U8), timesteps.update, elements) == 0, "%s", name);
    snprintf(name, sizeof name, "expected.interval.%lld", (long long)chunk->index);
    CHECK(memcmp(reference_data(file, name, REEL_I64), timesteps.interval,
                 (size_t)timesteps.rows * 2 * sizeof(int64_t)) == 0,
          "%s", name);
    reel_timesteps_free(&timesteps);
}

/* The pixel frames of this many latent frames. */
static int64_t pixels(int64_t latent)
{
    return latent > 0 ? 4 * (latent - 1) + 1 : 0;
}

static struct reel_job job_of(int64_t frames, int64_t base, int64_t overlap, int64_t block)
{
    struct reel_job job = {
        .video.frames = frames,
        .diffusion_forcing = {.base_frames = base, .overlap_frames = overlap, .causal_block_size = block}};
    return job;
}

static void check_case(const char *path)
{
    struct reference_file *file = reference_open(path);
    int64_t latent = (int64_t)reference_number(file, "latent_frames", 0);
    int64_t base = (int64_t)reference_number(file, "base_latent_frames", (double)latent);
    int64_t overlap = (int64_t)reference_number(file, "overlap_latent_frames", 0);
    int64_t block = (int64_t)reference_number(file, "causal_block_size", 1);
    struct reel_job job = job_of(pixels(latent), pixels(base), pixels(overlap), block);
    job.diffusion_forcing.ar_step = (int64_t)reference_number(file, "ar_step", 0);
    job.sampler.steps = (int64_t)reference_number(file, "steps", 0);
    job.sampler.shift = reference_number(file, "shift", 1);
    struct reel_chunk *chunks;
    int64_t count;
    enum reel_status status =
        reel_chunks_make(&job, (int64_t)reference_number(file, "prefix_latent_frames", 0),
                         (int64_t)reference_number(file, "end_latent_frames", 0),
                         (struct reel_begun){.count = 0}, &chunks, &count);
    CHECK(status == REEL_OK, "%s: %s", path, reel_error_here()->cause);
    for (int64_t i = 0; i < count; i++)
        check_chunk_matrix(file, &job, &chunks[i]);
    char name[64];
    struct reference_tensor beyond;
    snprintf(name, sizeof name, "expected.timestep_matrix.%lld", (long long)count);
    CHECK(!reference_tensor(file, name, &beyond), "%s: %lld chunks are too few", path, (long long)count);
    free(chunks);
    reference_close(file);
}

static void all_reference_cases_have_their_matrices(void)
{
    char pattern[4096];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/*/*.expected.safetensors", test_reference());
    CHECK(glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc == 18, "%zu cases", found.gl_pathc);
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_case(found.gl_pathv[i]);
    globfree(&found);
}

/* Checks the chunks of a video; lengths in latent frames in order, ended by 0. */
static void check_lengths(const struct reel_job *job, const int64_t *lengths)
{
    struct reel_chunk *chunks;
    int64_t count, kept = 0, overlap = reel_latent_frames(job->diffusion_forcing.overlap_frames);
    enum reel_status status = reel_chunks_make(job, 0, 0, (struct reel_begun){.count = 0}, &chunks, &count);
    CHECK(status == REEL_OK, "%s", reel_error_here()->cause);
    for (int64_t i = 0; i < count; i++) {
        CHECK(chunks[i].index == i && chunks[i].frames == lengths[i], "%lld pixel frames, chunk %lld: %lld",
              (long long)job->video.frames, (long long)i, (long long)chunks[i].frames);
        CHECK(chunks[i].prefix_frames == (i > 0 ? overlap : 0), "chunk %lld", (long long)i);
        CHECK(chunks[i].first_frame + chunks[i].prefix_frames == kept, "chunk %lld", (long long)i);
        CHECK(reel_row_window(job, &chunks[i]) == chunks[i].frames, "chunk %lld", (long long)i);
        kept = chunks[i].kept;
    }
    CHECK(lengths[count] == 0 && kept == reel_latent_frames(job->video.frames), "%lld chunks, %lld kept",
          (long long)count, (long long)kept);
    free(chunks);
}

static void long_videos_have_the_official_chunks(void)
{
    static const struct {
        int64_t frames, overlap, lengths[20];
    } cases[] = {
        {257, 17, {25, 25, 25}},
        {377, 17, {25, 25, 25, 25, 15}},
        {737, 17, {25, 25, 25, 25, 25, 25, 25, 25, 25}},
        {1457, 17, {25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25, 25}},
        {237, 17, {25, 25, 20}},
        {257, 37, {25, 25, 25, 20}},
        {117, 17, {25, 10}},
        {97, 17, {25}},
        {33, 17, {9}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reel_job job = job_of(cases[i].frames, 97, cases[i].overlap, 1);
        check_lengths(&job, cases[i].lengths);
    }
}

static void without_overlap_one_chunk_has_a_sliding_window(void)
{
    struct reel_job job = job_of(257, 97, 0, 5);
    struct reel_chunk *chunks;
    int64_t count;
    CHECK(reel_chunks_make(&job, 5, 5, (struct reel_begun){.count = 0}, &chunks, &count) == REEL_OK &&
              count == 1,
          "%lld chunks", (long long)count);
    CHECK(chunks[0].frames == 65 && chunks[0].kept == 65 && chunks[0].prefix_frames == 5 &&
              chunks[0].end_frames == 5,
          "%lld frames", (long long)chunks[0].frames);
    CHECK(reel_row_window(&job, &chunks[0]) == 25, "window %lld",
          (long long)reel_row_window(&job, &chunks[0]));
    free(chunks);
}

static void prefix_goes_to_the_first_and_end_to_the_last_chunk(void)
{
    struct reel_job job = job_of(257, 97, 17, 1);
    struct reel_chunk *chunks;
    int64_t count;
    CHECK(reel_chunks_make(&job, 3, 1, (struct reel_begun){.count = 0}, &chunks, &count) == REEL_OK &&
              count == 3,
          "%lld chunks", (long long)count);
    CHECK(chunks[0].prefix_frames == 3 && chunks[1].prefix_frames == 5, "prefix");
    CHECK(chunks[0].end_frames == 0 && chunks[1].end_frames == 0 && chunks[2].end_frames == 1, "end");
    CHECK(reel_row_window(&job, &chunks[2]) == 26, "window %lld",
          (long long)reel_row_window(&job, &chunks[2]));
    free(chunks);
}

static void check_chunk_refusal(struct reel_job job, int64_t prefix, int64_t end, const char *message)
{
    struct reel_chunk *chunks;
    int64_t count;
    reel_error_clear();
    enum reel_status status =
        reel_chunks_make(&job, prefix, end, (struct reel_begun){.count = 0}, &chunks, &count);
    CHECK(status == REEL_BAD_JOB && !chunks && count == 0, "status %d, expected: %s", status, message);
    CHECK(strcmp(reel_error_here()->cause, message) == 0, "%s\nexpected: %s", reel_error_here()->cause,
          message);
    reel_error_clear();
}

static void impossible_chunks_are_refused(void)
{
    check_chunk_refusal(job_of(97, 97, 17, 0), 0, 0,
                        "diffusion_forcing.causal_block_size is 0, expected 1 or more");
    check_chunk_refusal(job_of(97, 97, 17, 5), 1, 0,
                        "diffusion_forcing.prefix_latents has 1 latent frames, not a multiple of "
                        "diffusion_forcing.causal_block_size 5");
    check_chunk_refusal(job_of(257, 97, 13, 5), 0, 0,
                        "diffusion_forcing.overlap_frames 13 is 4 latent frames, not a multiple of "
                        "diffusion_forcing.causal_block_size 5");
    check_chunk_refusal(job_of(257, 93, 0, 5), 0, 0,
                        "diffusion_forcing.base_frames 93 is 24 latent frames, not a multiple of "
                        "diffusion_forcing.causal_block_size 5");
    check_chunk_refusal(job_of(241, 97, 17, 5), 0, 0,
                        "video.frames 241 gives chunk 2 a length of 21 latent frames, not a multiple of "
                        "diffusion_forcing.causal_block_size 5");
    check_chunk_refusal(job_of(257, 97, 17, 5), 0, 1,
                        "diffusion_forcing.end_latents appends 1 latent frames to the last chunk's 25, "
                        "together not a multiple of diffusion_forcing.causal_block_size 5");
    check_chunk_refusal(
        job_of(257, 97, 17, 1), 25, 0,
        "nothing to generate: diffusion_forcing.prefix_latents has 25 of the 25 latent frames of "
        "chunk 0");
    check_chunk_refusal(job_of(257, 97, 97, 1), 0, 0,
                        "diffusion_forcing.overlap_frames is 97, expected less than "
                        "diffusion_forcing.base_frames 97");
}

static void check_refusal(struct reel_timesteps_request request, const char *message)
{
    struct reel_schedule schedule = schedule_of(6, 8);
    struct reel_timesteps timesteps;
    reel_error_clear();
    enum reel_status status = reel_timesteps_make(&request, &schedule, &timesteps);
    CHECK(status == REEL_BAD_JOB && !timesteps.timestep, "status %d, expected: %s", status, message);
    CHECK(strcmp(reel_error_here()->cause, message) == 0, "%s\nexpected: %s", reel_error_here()->cause,
          message);
    reel_error_clear();
}

static void impossible_matrices_are_refused(void)
{
    struct reel_timesteps_request good = {.frames = 8, .window_frames = 8, .block = 2}, bad = good;
    bad.block = 0;
    check_refusal(bad, "diffusion_forcing.causal_block_size is 0, expected 1 or more");
    bad = good, bad.ar_step = -1;
    check_refusal(bad, "diffusion_forcing.ar_step is -1, expected 0 or more");
    bad = good, bad.frames = 9;
    check_refusal(bad,
                  "the chunk has 9 latent frames (video.frames and diffusion_forcing.end_latents), not a "
                  "multiple of diffusion_forcing.causal_block_size 2");
    bad = good, bad.prefix_frames = 3;
    check_refusal(bad,
                  "the prefix has 3 latent frames (diffusion_forcing.prefix_latents or overlap_frames), not "
                  "a multiple of diffusion_forcing.causal_block_size 2");
    bad = good, bad.prefix_frames = 6, bad.end_frames = 2;
    check_refusal(bad, "nothing to generate: diffusion_forcing.prefix_latents or overlap_frames gives 6 and "
                       "diffusion_forcing.end_latents 2 of the chunk's 8 latent frames");
    bad = good, bad.window_frames = 3;
    check_refusal(bad,
                  "diffusion_forcing.base_frames gives a sliding window of 3 latent frames, not a multiple "
                  "of diffusion_forcing.causal_block_size 2");
    bad = good, bad.window_frames = 4, bad.ar_step = 2;
    check_refusal(bad, "diffusion_forcing.ar_step is 2, expected 3 or more: 6 steps (sampler.steps) over a "
                       "sliding window of 2 blocks (diffusion_forcing.base_frames)");
    bad.ar_step = 3;
    struct reel_timesteps timesteps = matrix_of(bad);
    CHECK(timesteps.rows == 15, "%lld rows", (long long)timesteps.rows);
    reel_timesteps_free(&timesteps);
}

int main(void)
{
    RUN(the_worked_examples_come_out);
    RUN(blocks_move_as_one_frame_does);
    RUN(a_window_slides_when_the_next_block_starts);
    RUN(every_frame_takes_every_step_inside_the_window);
    RUN(an_end_frame_takes_its_turn_in_rows_that_are_not_run);
    RUN(all_reference_cases_have_their_matrices);
    RUN(long_videos_have_the_official_chunks);
    RUN(without_overlap_one_chunk_has_a_sliding_window);
    RUN(prefix_goes_to_the_first_and_end_to_the_last_chunk);
    RUN(impossible_chunks_are_refused);
    RUN(impossible_matrices_are_refused);
    return test_end();
}
