/* What of a job may change between two starts and what may not; videos that grow; starting over; damaged checkpoints; jobs
 * that are complete. Two ranks, in one process each. */
#include "output_read.h"
#include "folder.h"
#include "piece.h"
#include "seal.h"
#include "test.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static int me;

/* --- files ------------------------------------------------------------------------------------------------------ */

/* A path in the test's folder; a few are valid at a time. */
static const char *own(const char *name)
{
    static char paths[8][512];
    static int turn;
    turn = (turn + 1) % 8;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", test_folder(), name);
    return paths[turn];
}

/* Collective. Runs a command in the test's folder, on rank 0. */
static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void shell(const char *format, ...)
{
    char text[2048], command[2200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(command, sizeof command, "cd %s && %s", test_folder(), text);
    MPI_Barrier(MPI_COMM_WORLD);
    if (me == 0)
        CHECK(system(command) == 0, "%s", command);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void write_file(const char *name, const char *text)
{
    MPI_Barrier(MPI_COMM_WORLD);
    FILE *file = me == 0 ? fopen(own(name), "w") : NULL;
    if (file) {
        fputs(text, file);
        fclose(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

/* Collective. Flips a bit of a byte, on rank 0. */
static void flip(const char *path, int64_t at)
{
    unsigned char byte;
    MPI_Barrier(MPI_COMM_WORLD);
    if (me == 0) {
        int file = open(path, O_RDWR);
        CHECK(pread(file, &byte, 1, at) == 1, "%s has no byte %lld", path, (long long)at);
        byte ^= 1;
        CHECK(pwrite(file, &byte, 1, at) == 1, "%s could not be changed", path);
        close(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

/* Collective. Changes the last bit of a tensor's first number. */
static void change(const char *name, const char *tensor)
{
    static char header[1 << 20];
    char quoted[128];
    uint64_t bytes = 0;
    long long begin = 0;
    snprintf(quoted, sizeof quoted, "\"%s\"", tensor);
    int file = open(own(name), O_RDONLY);
    CHECK(pread(file, &bytes, 8, 0) == 8 && bytes < sizeof header &&
              pread(file, header, bytes, 8) == (ssize_t)bytes,
          "%s has no header", name);
    close(file);
    header[bytes] = '\0';
    const char *at = strstr(header, quoted), *offsets = at ? strstr(at, "\"data_offsets\"") : NULL;
    CHECK(offsets && sscanf(strchr(offsets, '['), "[%lld", &begin) == 1, "%s has no %s", name, tensor);
    flip(own(name), 8 + (int64_t)bytes + begin);
}

/* The newest generation of a folder; 0 where there is none. */
static int64_t newest(const char *folder, int64_t *count)
{
    int64_t *generations = NULL, first = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    CHECK(reel_folder_list(own(folder), &generations, count) == REEL_OK, "%s", reel_error_here()->cause);
    if (*count > 0)
        first = generations[0];
    free(generations);
    MPI_Barrier(MPI_COMM_WORLD);
    return first;
}

static const char *file_of(const char *folder, int64_t generation)
{
    static char paths[2][REEL_FOLDER_PATH_BYTES];
    static int turn;
    turn = !turn;
    reel_folder_file(own(folder), generation, paths[turn]);
    return paths[turn];
}

/* --- jobs ------------------------------------------------------------------------------------------------------- */

/* Runs a job of the test's folder with settings "key=value key=value", paths among them absolute. */
static struct piece_end run(const char *job, const char *settings, int64_t most)
{
    char text[4096];
    struct piece_end end;
    struct piece piece = {.world = MPI_COMM_WORLD, .job = own(job), .most = most};
    int64_t count = 0;
    snprintf(text, sizeof text, "%s", settings);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        if (strcmp(word, "--fresh") == 0)
            piece.fresh = 1;
        else if (strcmp(word, "--stop") == 0)
            piece.stop = 1;
        else
            piece.sets[count++] = word;
    piece_run(&piece, &end);
    return end;
}

static struct piece_end must(const char *job, const char *settings, int64_t most)
{
    struct piece_end end = run(job, settings, most);
    CHECK(end.status == REEL_OK, "%s %s: %s", job, settings, end.cause);
    return end;
}

/* CHECKs that it ends with the very latents of another. */
static void same(struct piece_end *end, const struct piece_end *one, const char *what)
{
    CHECK(end->complete && end->latents && end->count == one->count &&
              memcmp(end->latents, one->latents, (size_t)one->count * sizeof *one->latents) == 0,
          "%s: not the latents of an undisturbed run", what);
    piece_free(end);
}

/* CHECKs exit code 4 and words in the cause. */
static void refused(const char *job, const char *settings, const char *const *words, int count)
{
    struct piece_end end = run(job, settings, 0);
    CHECK(end.status == REEL_BAD_INPUT, "%s %s: %d %s", job, settings, (int)end.status, end.cause);
    for (int w = 0; me == 0 && w < count; w++)
        CHECK(strstr(end.cause, words[w]), "%s %s should say %s: %s", job, settings, words[w], end.cause);
    piece_free(&end);
}

static int says(const struct piece_end *end, const char *words)
{
    return me != 0 || strstr(end->notes, words) != NULL;
}

/* --- what may change -------------------------------------------------------------------------------------------- */

/* A job of which everything is a file, and two pieces of it are done. */
static void begin_files(const char *folder)
{
    char text[2048];
    shell("rm -rf %s && mkdir %s && cp -r %s/tiny-df/native %s/model && "
          "cp %s/tiny-df/prefix-addnoise.inputs.safetensors %s/inputs.safetensors && chmod -R u+w %s",
          folder, folder, test_reference(), folder, test_reference(), folder, folder);
    snprintf(text, sizeof text,
             "model: {path: model}\nvideo: {width: 64, height: 48, frames: 17}\n"
             "prompt: {embeds: inputs.safetensors}\nsampler: {steps: 5, noise: inputs.safetensors}\n"
             "diffusion_forcing: {prefix_latents: inputs.safetensors, addnoise_condition: 20}\n"
             "checkpoint: {every_iterations: 1, keep: 3}\noutput: {latents: out.h5}\n");
    char name[256];
    snprintf(name, sizeof name, "%s/job.yaml", folder);
    write_file(name, text);
    struct piece_end end = must(name, "", 2);
    CHECK(end.row == 2, "left before iteration %lld", (long long)end.row);
}

static void a_changed_key_is_named_with_both_values(void)
{
    static const struct {
        const char *settings, *words[3];
    } changes[] = {
        {"sampler.steps=6", {"sampler.steps", " 5,", " 6,"}},
        {"sampler.seed=43", {"sampler.seed", " 42,", " 43,"}},
        {"sampler.shift=7", {"sampler.shift", "8", "7"}},
        {"sampler.guidance_scale=5", {"sampler.guidance_scale", "6", "5"}},
        {"sampler.guidance_scale=1", {"sampler.guidance_scale", "6", "1"}},
        {"sampler.scheduler=euler", {"sampler.scheduler", "unipc", "euler"}},
        {"sampler.noise=", {"noise", "not set", "chunk 0"}},
        {"video.width=80", {"video.width", "64", "80"}},
        {"video.height=64", {"video.height", "48", "64"}},
        {"video.fps=16", {"video.fps", "24", "16"}},
        {"video.frames=13", {"video.frames", "17", "13"}},
        {"diffusion_forcing.ar_step=1", {"diffusion_forcing.ar_step", " 0,", " 1,"}},
        {"diffusion_forcing.causal_block_size=1 diffusion_forcing.causal_attention=true",
         {"diffusion_forcing.causal_attention", "false", "true"}},
        {"diffusion_forcing.addnoise_condition=10", {"diffusion_forcing.addnoise_condition", "20", "10"}},
        {"diffusion_forcing.prefix_latents=", {"prefix_latents", "not set", "prefix_latents"}},
        {"diffusion_forcing.base_frames=49", {"diffusion_forcing.base_frames", "97", "49"}},
        {"teacache.mode=e teacache.coefficients=[1,0]", {"teacache.mode", "off", " e,"}},
        {"teacache.threshold=0.3", {"teacache.threshold", "0.2", "0.3"}},
        {"teacache.start_step=2", {"teacache.start_step", "auto", "2"}},
        {"teacache.metric=all", {"teacache.metric", "active", "all"}},
        {"teacache.rescale=signed", {"teacache.rescale", "abs", "signed"}}};
    begin_files("keys");
    for (size_t c = 0; c < sizeof changes / sizeof changes[0]; c++)
        refused("keys/job.yaml", changes[c].settings, changes[c].words, 3);
    struct piece_end end = must("keys/job.yaml", "", -1);
    CHECK(end.iterations == 3, "a refusal has cost something: %lld", (long long)end.iterations);
    piece_free(&end);
}

static void changed_contents_are_named(void)
{
    static const struct {
        const char *file, *tensor, *words[1];
    } changes[] = {{"files/inputs.safetensors", "prompt_embeds", {"chunk 0 prompt "}},
                   {"files/inputs.safetensors", "negative_prompt_embeds", {"chunk 0 negative prompt "}},
                   {"files/inputs.safetensors", "noise.0", {"chunk 0 noise "}},
                   {"files/inputs.safetensors", "addnoise.0", {"chunk 0 addnoise "}},
                   {"files/inputs.safetensors", "prefix_latents", {"prefix_latents "}},
                   {"files/model/model.safetensors", "head.head.weight", {"weights of hash "}},
                   {"files/model/model.safetensors", "time_embedding.0.bias", {"weights of hash "}}};
    begin_files("files");
    for (size_t c = 0; c < sizeof changes / sizeof changes[0]; c++) {
        change(changes[c].file, changes[c].tensor);
        refused("files/job.yaml", "", changes[c].words, 1);
        change(changes[c].file, changes[c].tensor);
    }
    struct piece_end end = must("files/job.yaml", "", -1);
    CHECK(end.iterations == 3, "what was mended goes on: %lld", (long long)end.iterations);
    piece_free(&end);
}

static void another_model_is_named(void)
{
    static const char *const words[] = {"model ", "layers of"};
    begin_files("sizes");
    refused("sizes/job.yaml", "model.path=synthetic:skyreels-v2-df-1.3b", words, 2);
}

static void what_does_not_matter_may_change(void)
{
    char settings[2048];
    static const char *const one_key[] = {"checkpoint.keep=1",
                                          "checkpoint.every_iterations=3",
                                          "checkpoint.grace=1s",
                                          "checkpoint.on_error=stop",
                                          "checkpoint.time_limit=1h",
                                          "communication.timeout_s=60",
                                          "partition.cfg=1 partition.ulysses=2",
                                          "partition.cfg=1 partition.ulysses=2 partition.weights=gathered",
                                          "partition.cfg=1 partition.ulysses=2 teacache.embedding=expanded"};
    begin_files("free");
    struct piece_end one = must("free/job.yaml", "checkpoint.directory=off", -1), end;
    shell("cp -r free/out.h5.checkpoint free/kept");
    for (size_t k = 0; k < sizeof one_key / sizeof one_key[0]; k++) {
        shell("rm -rf free/out.h5 free/out.h5.checkpoint && cp -r free/kept free/out.h5.checkpoint");
        end = must("free/job.yaml", one_key[k], -1);
        CHECK(end.iterations == 3, "%s: %lld iterations", one_key[k], (long long)end.iterations);
        same(&end, &one, one_key[k]);
    }
    shell("rm -rf free/out.h5.checkpoint && mkdir moved && cp -r free/model moved/other && "
          "mv free/inputs.safetensors moved/things.safetensors && mv free/kept moved/kept");
    snprintf(settings, sizeof settings,
             "model.path=%s prompt.embeds=%s sampler.noise=%s diffusion_forcing.prefix_latents=%s "
             "checkpoint.directory=%s output.latents=%s output.log=%s",
             own("moved/other"), own("moved/things.safetensors"), own("moved/things.safetensors"),
             own("moved/things.safetensors"), own("moved/kept"), own("moved/video.h5"), own("moved/log"));
    end = must("free/job.yaml", settings, -1);
    CHECK(end.iterations == 3, "moved: %lld iterations", (long long)end.iterations);
    same(&end, &one, "moved files");
    piece_free(&one);
}

/* The same weights in another layout are the same weights. */
static void another_layout_of_the_same_model_goes_on(void)
{
    static const char *const layouts[] = {"diffusers", "native-sharded", "comfy.safetensors"};
    begin_files("layouts");
    struct piece_end one = must("layouts/job.yaml", "checkpoint.directory=off", -1);
    shell("cp -r layouts/out.h5.checkpoint layouts/kept");
    for (int l = 0; l < 3; l++) {
        char settings[1024];
        shell("rm -rf layouts/out.h5.checkpoint && cp -r layouts/kept layouts/out.h5.checkpoint");
        snprintf(settings, sizeof settings, "model.path=%s/tiny-df/%s", test_reference(), layouts[l]);
        struct piece_end end = must("layouts/job.yaml", settings, -1);
        CHECK(end.iterations == 3, "%s: %lld iterations", layouts[l], (long long)end.iterations);
        same(&end, &one, layouts[l]);
    }
    piece_free(&one);
}

/* --- growth ----------------------------------------------------------------------------------------------------- */

/* Chunks of 5 latent frames that take over 2: 29 pixel frames are two full chunks, 41 three, 33 two and a short one. */
static const char growing[] =
    "model: {path: 'synthetic:tiny'}\nvideo: {width: 64, height: 48, frames: 29}\nsampler: {steps: 4}\n"
    "diffusion_forcing: {base_frames: 17, overlap_frames: 5, addnoise_condition: 20}\n"
    "checkpoint: {every_iterations: 1}\noutput: {latents: grow.h5}\n";

/* Grows to 41 frames a job that was left so, and compares it with a fresh one. */
static void grows(const char *settings, int64_t most, const char *sentence)
{
    char longer[512], off[1024];
    struct piece_end end;
    shell("rm -rf grow.h5 grow.h5.checkpoint");
    end = must("grow.yaml", settings, most);
    piece_free(&end);
    char *frames = strstr(settings, "video.frames=");
    snprintf(longer, sizeof longer, "%.*s video.frames=41",
             frames ? (int)(frames - settings) : (int)strlen(settings), settings);
    snprintf(off, sizeof off, "%s checkpoint.directory=off output.latents=%s", longer, own("fresh.h5"));
    struct piece_end one = must("grow.yaml", off, -1);
    end = must("grow.yaml", longer, -1);
    CHECK(says(&end, "the video grows to 41 frames") && says(&end, sentence), "%s: %s", longer, end.notes);
    same(&end, &one, longer);
    piece_free(&one);
    struct reel_output_file output;
    CHECK(reel_output_open(own("grow.h5"), &output) == REEL_OK && output.complete && output.frames == 41 &&
              output.finished_frames == 11 && output.chunk_count == 3,
          "the output of %s", longer);
    reel_output_close(&output);
    end = must("grow.yaml", longer, -1);
    CHECK(end.nothing_to_do, "%s is not complete now", longer);
}

static void a_video_may_grow(void)
{
    static const char fresh[] = "the result is that of a fresh job of this length";
    write_file("grow.yaml", growing);
    grows("", -1, fresh);
    grows("", 2, fresh);
    grows("", 4, fresh);
    grows("", 6, fresh);
    grows("teacache.mode=e0 teacache.threshold=1.0 teacache.coefficients=[1,0] teacache.start_step=1", 5,
          fresh);
    grows("diffusion_forcing.ar_step=1", 7, fresh);
    grows("video.frames=33", 5, fresh); /* its short chunk has not begun */
}

static void frames_behind_a_short_chunk_follow_it(void)
{
    write_file("grow.yaml", growing);
    for (int64_t most = -1; most <= 9; most += 10) { /* complete, and in the midst of the short chunk */
        shell("rm -rf grow.h5 grow.h5.checkpoint");
        struct piece_end kept = must("grow.yaml", "video.frames=33 checkpoint.directory=off", -1);
        struct piece_end end = must("grow.yaml", "video.frames=33", most);
        piece_free(&end);
        end = must("grow.yaml", "video.frames=41", -1);
        CHECK(says(&end, "not that of a fresh job"), "%s", end.notes);
        int64_t plane = 6 * 8;
        CHECK(end.complete && end.count == 16 * 11 * plane && kept.count == 16 * 9 * plane, "%lld numbers",
              (long long)end.count);
        for (int64_t c = 0; end.latents && c < 16; c++)
            CHECK(memcmp(end.latents + c * 11 * plane, kept.latents + c * 9 * plane,
                         (size_t)(9 * plane) * 4) == 0,
                  "channel %lld: finished frames have changed", (long long)c);
        piece_free(&end);
        piece_free(&kept);
    }
}

/* A noise file has chunks of its own, and the official result. */
static void a_video_with_noise_from_a_file_may_grow(void)
{
    char text[2048];
    snprintf(text, sizeof text,
             "model: {path: %s/tiny-df/native}\nvideo: {width: 64, height: 48, frames: 29}\n"
             "prompt: {embeds: %s/tiny-df/long.inputs.safetensors}\n"
             "sampler: {steps: 5, noise: %s/tiny-df/long.inputs.safetensors}\n"
             "diffusion_forcing: {base_frames: 17, overlap_frames: 5, addnoise_condition: 20}\n"
             "checkpoint: {every_iterations: 1}\noutput: {latents: grow.h5}\n",
             test_reference(), test_reference(), test_reference());
    write_file("grow.yaml", text);
    grows("", 7, "the result is that of a fresh job of this length");
}

static void what_cannot_grow_says_why(void)
{
    static const char *const end_words[] = {"video.frames 29", "41", "diffusion_forcing.end_latents"},
                             *const shrink_words[] = {"video.frames 29", "17"},
                             *const overlap_words[] = {"diffusion_forcing.overlap_frames", "41"};
    char text[2048];
    snprintf(
        text, sizeof text,
        "model: {path: %s/tiny-df/native}\nvideo: {width: 48, height: 32, frames: 29}\nsampler: {steps: 4}\n"
        "prompt: {embeds: %s/tiny-df/long-prompts-end.inputs.safetensors}\n"
        "diffusion_forcing: {base_frames: 17, overlap_frames: 5, end_latents: "
        "%s/tiny-df/long-prompts-end.inputs.safetensors}\n"
        "checkpoint: {every_iterations: 1}\noutput: {latents: end.h5}\n",
        test_reference(), test_reference(), test_reference());
    write_file("end.yaml", text);
    must("end.yaml", "", 2);
    refused("end.yaml", "video.frames=41", end_words, 3);
    write_file("grow.yaml", growing);
    for (int64_t most = 2; most >= -1; most -= 3) {
        shell("rm -rf grow.h5 grow.h5.checkpoint");
        struct piece_end end = must("grow.yaml", "", most);
        piece_free(&end);
        refused("grow.yaml", "video.frames=17", shrink_words, 2);
        shell("rm -rf grow.h5 grow.h5.checkpoint");
        end = must("grow.yaml", "diffusion_forcing.overlap_frames=0 diffusion_forcing.ar_step=1", most);
        piece_free(&end);
        refused("grow.yaml", "diffusion_forcing.overlap_frames=0 diffusion_forcing.ar_step=1 video.frames=41",
                overlap_words, 2);
    }
}

/* --- starting over, falling back -------------------------------------------------------------------------------- */

static void starting_over_keeps_the_old_until_the_new_is_there(void)
{
    static const char *const words[] = {"sampler.seed"};
    int64_t count, before, after;
    write_file("grow.yaml", growing);
    shell("rm -rf grow.h5 grow.h5.checkpoint");
    must("grow.yaml", "", 3);
    before = newest("grow.h5.checkpoint", &count);
    struct piece_end end = must("grow.yaml", "--fresh --stop sampler.seed=7", -1);
    CHECK(end.iterations == 0 && newest("grow.h5.checkpoint", &count) == before && count == 2,
          "%lld checkpoints after a fresh start", (long long)count);
    end = must("grow.yaml", "", 1);
    CHECK(end.from_row == 3, "the old job goes on from iteration %lld", (long long)end.from_row);
    before = newest("grow.h5.checkpoint", &count);
    end = must("grow.yaml", "--fresh sampler.seed=7", 1);
    after = newest("grow.h5.checkpoint", &count);
    CHECK(after == before + 1 && count == 1, "generation %lld after %lld, %lld kept", (long long)after,
          (long long)before, (long long)count);
    refused("grow.yaml", "", words, 1);
    struct piece_end one = must("grow.yaml", "sampler.seed=7 checkpoint.directory=off", -1);
    end = must("grow.yaml", "sampler.seed=7", -1);
    same(&end, &one, "started over");
    piece_free(&one);
}

/* What may have happened to a checkpoint, in the shell. */
static const char *const damages[] = {"truncate -s 0 %s",
                                      "truncate -s -1 %s",
                                      "rm %s && ln -s nowhere %s",
                                      "rm %s && mkdir %s",
                                      "cp /bin/true %s",
                                      "rm %s && mkfifo %s",
                                      "printf garbage | dd of=%s bs=1 seek=9000 conv=notrunc 2>/dev/null",
                                      "chmod 0 %s"};
enum { DAMAGES = sizeof damages / sizeof damages[0] };

static void damage(int kind, const char *path)
{
    char command[2048];
    const char *again = strstr(strstr(damages[kind], "%s") + 1, "%s");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
    snprintf(command, sizeof command, damages[kind], path, again ? path : "");
#pragma GCC diagnostic pop
    shell("%s", command);
}

static void a_damaged_checkpoint_is_passed_over(void)
{
    int64_t count, last;
    write_file("grow.yaml", growing);
    shell("rm -rf grow.h5 grow.h5.checkpoint kept");
    struct piece_end one = must("grow.yaml", "checkpoint.directory=off", -1), end;
    must("grow.yaml", "checkpoint.keep=3", 6);
    last = newest("grow.h5.checkpoint", &count);
    CHECK(count == 3, "%lld are kept", (long long)count);
    shell("cp -r grow.h5.checkpoint kept");
    for (int kind = 0; kind < DAMAGES - (geteuid() == 0); kind++) {
        shell("rm -rf grow.h5 grow.h5.checkpoint && cp -r kept grow.h5.checkpoint");
        damage(kind, file_of("grow.h5.checkpoint", last));
        end = must("grow.yaml", "", 1);
        CHECK(says(&end, file_of("grow.h5.checkpoint", last)) && says(&end, "warning: ") &&
                  says(&end, "the checkpoint before it is tried") &&
                  says(&end, file_of("grow.h5.checkpoint", last - 1)),
              "damage %d: %s", kind, end.notes);
        CHECK(newest("grow.h5.checkpoint", &count) == last + 1 && count == 2, "damage %d: %lld are kept",
              kind, (long long)count);
        CHECK(access(file_of("grow.h5.checkpoint", last), F_OK) != 0,
              "damage %d: the damaged one is kept instead of a whole one", kind);
        CHECK(access(file_of("grow.h5.checkpoint", last - 1), F_OK) == 0, "damage %d: the whole one is gone",
              kind);
        end = must("grow.yaml", "", -1);
        same(&end, &one, damages[kind]);
    }
    piece_free(&one);
}

static void without_a_whole_checkpoint_nothing_is_thrown_away(void)
{
    static const char *const words[] = {"none of its 2 checkpoints is whole", "--fresh"};
    int64_t count, last;
    write_file("grow.yaml", growing);
    shell("rm -rf grow.h5 grow.h5.checkpoint");
    must("grow.yaml", "", 3);
    last = newest("grow.h5.checkpoint", &count);
    flip(file_of("grow.h5.checkpoint", last), 5000);
    flip(file_of("grow.h5.checkpoint", last - 1), 5000);
    refused("grow.yaml", "", words, 2);
    CHECK(newest("grow.h5.checkpoint", &count) == last && count == 2, "%lld are left", (long long)count);
    flip(file_of("grow.h5.checkpoint", last - 1), 5000);
    struct piece_end end = must("grow.yaml", "", 1);
    CHECK(end.from_row == 2, "what was mended goes on from iteration %lld", (long long)end.from_row);
}

/* A whole file of a format to come is not damage. */
static void another_format_is_refused(void)
{
    static const char *const words[] = {"format 2"};
    int64_t count, last;
    struct reel_seal seal;
    write_file("grow.yaml", growing);
    shell("rm -rf grow.h5 grow.h5.checkpoint");
    must("grow.yaml", "", 3);
    last = newest("grow.h5.checkpoint", &count);
    if (me == 0) {
        int file = open(file_of("grow.h5.checkpoint", last), O_RDWR);
        CHECK(pread(file, &seal, sizeof seal, 0) == sizeof seal, "no seal");
        seal.format = 2;
        seal.own = XXH3_64bits(&seal, sizeof seal - sizeof seal.own);
        CHECK(pwrite(file, &seal, sizeof seal, 0) == sizeof seal, "no seal");
        close(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    refused("grow.yaml", "", words, 1);
}

/* --- complete jobs ---------------------------------------------------------------------------------------------- */

static int output_is(const char *name, const struct piece_end *one)
{
    struct reel_output_file output;
    int is = reel_output_open(own(name), &output) == REEL_OK && output.complete &&
             output.shape[0] * output.shape[1] * output.shape[2] * output.shape[3] == one->count &&
             memcmp(output.latents, one->latents, (size_t)one->count * sizeof *one->latents) == 0;
    reel_output_close(&output);
    reel_error_clear();
    MPI_Barrier(MPI_COMM_WORLD);
    return is;
}

static void a_complete_job_is_told_so_at_once(void)
{
    static const char *const seed[] = {"sampler.seed"};
    char settings[1024];
    write_file("grow.yaml", growing);
    shell("rm -rf grow.h5 grow.h5.checkpoint");
    struct piece_end one = must("grow.yaml", "", -1), end;
    end = must("grow.yaml", "", -1);
    CHECK(end.nothing_to_do && !end.loaded, "there is something to do");
    end = must("grow.yaml", "partition.cfg=1 partition.ring=2", -1);
    CHECK(end.nothing_to_do && !end.loaded, "there is something to do on another mesh");
    refused("grow.yaml", "sampler.seed=1", seed, 1);
    shell("rm grow.h5");
    end = must("grow.yaml", "", -1);
    CHECK(!end.nothing_to_do && !end.loaded && end.iterations == 0 && output_is("grow.h5", &one),
          "the output is not written again");
    piece_free(&end);
    snprintf(settings, sizeof settings, "output.latents=%s checkpoint.directory=%s", own("elsewhere.h5"),
             own("grow.h5.checkpoint"));
    end = must("grow.yaml", settings, -1);
    CHECK(!end.loaded && output_is("elsewhere.h5", &one), "the output is not written elsewhere");
    piece_free(&end);
    piece_free(&one);
}

/* Another video of the same size lies where the output should be. */
static void the_output_of_another_job_is_not_taken_for_ours(void)
{
    char settings[1024];
    write_file("grow.yaml", growing);
    shell("rm -rf grow.h5 grow.h5.checkpoint");
    struct piece_end one = must("grow.yaml", "", -1);
    snprintf(settings, sizeof settings, "checkpoint.directory=off output.latents=%s sampler.seed=9",
             own("other.h5"));
    struct piece_end other = must("grow.yaml", settings, -1), end;
    shell("cp other.h5 grow.h5");
    end = must("grow.yaml", "", -1);
    CHECK(!end.nothing_to_do && !end.loaded && output_is("grow.h5", &one), "it is taken for ours");
    piece_free(&end);
    shell("cp other.h5 grow.h5");
    end = must("grow.yaml", "video.frames=41", -1);
    CHECK(end.status == REEL_OK && end.complete, "%s", end.cause);
    piece_free(&end);
    piece_free(&other);
    piece_free(&one);
}

static void a_complete_job_of_other_inputs_is_refused(void)
{
    static const char *const prompt[] = {"chunk 0 prompt "};
    begin_files("complete");
    struct piece_end end = must("complete/job.yaml", "", -1);
    piece_free(&end);
    end = must("complete/job.yaml", "", -1);
    CHECK(end.nothing_to_do, "there is something to do");
    change("complete/inputs.safetensors", "prompt_embeds");
    refused("complete/job.yaml", "", prompt, 1);
}

int main(int argc, char **argv)
{
    int level;
    setenv("OMPI_MCA_io", "romio321", 0);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &me);
    test_folder(); /* collective at first */
    RUN(a_changed_key_is_named_with_both_values);
    RUN(changed_contents_are_named);
    RUN(another_model_is_named);
    RUN(what_does_not_matter_may_change);
    RUN(another_layout_of_the_same_model_goes_on);
    RUN(a_video_may_grow);
    RUN(frames_behind_a_short_chunk_follow_it);
    RUN(a_video_with_noise_from_a_file_may_grow);
    RUN(what_cannot_grow_says_why);
    RUN(starting_over_keeps_the_old_until_the_new_is_there);
    RUN(a_damaged_checkpoint_is_passed_over);
    RUN(without_a_whole_checkpoint_nothing_is_thrown_away);
    RUN(another_format_is_refused);
    RUN(a_complete_job_is_told_so_at_once);
    RUN(the_output_of_another_job_is_not_taken_for_ours);
    RUN(a_complete_job_of_other_inputs_is_refused);
    int failed = test_end();
    MPI_Finalize();
    return failed;
}
