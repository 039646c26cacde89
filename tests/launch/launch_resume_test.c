/* Which keys of a job may change between two starts and which may not, and videos that grow. Runs on two
 * ranks. */
#include "jobs.h"

#include "checkpoint_directory.h"
#include "output_read.h"
#include "checkpoint_checksums.h"
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    job_begin_files("keys");
    for (size_t c = 0; c < sizeof changes / sizeof changes[0]; c++)
        job_refused("keys/job.yaml", changes[c].settings, changes[c].words, 3);
    struct partial_end end = job_must("keys/job.yaml", "", -1);
    CHECK(end.iterations == 3, "a refusal has cost something: %lld", (long long)end.iterations);
    partial_free(&end);
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
    job_begin_files("files");
    for (size_t c = 0; c < sizeof changes / sizeof changes[0]; c++) {
        job_change(changes[c].file, changes[c].tensor);
        job_refused("files/job.yaml", "", changes[c].words, 1);
        job_change(changes[c].file, changes[c].tensor);
    }
    struct partial_end end = job_must("files/job.yaml", "", -1);
    CHECK(end.iterations == 3, "what was mended goes on: %lld", (long long)end.iterations);
    partial_free(&end);
}

static void another_model_is_named(void)
{
    static const char *const words[] = {"model ", "layers of"};
    job_begin_files("sizes");
    job_refused("sizes/job.yaml", "model.path=synthetic:skyreels-v2-df-1.3b", words, 2);
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
    job_begin_files("free");
    struct partial_end one = job_must("free/job.yaml", "checkpoint.directory=off", -1), end;
    job_shell("cp -r free/out.h5.checkpoint free/kept");
    for (size_t k = 0; k < sizeof one_key / sizeof one_key[0]; k++) {
        job_shell("rm -rf free/out.h5 free/out.h5.checkpoint && cp -r free/kept free/out.h5.checkpoint");
        end = job_must("free/job.yaml", one_key[k], -1);
        CHECK(end.iterations == 3, "%s: %lld iterations", one_key[k], (long long)end.iterations);
        job_same(&end, &one, one_key[k]);
    }
    job_shell("rm -rf free/out.h5.checkpoint && mkdir moved && cp -r free/model moved/other && "
              "mv free/inputs.safetensors moved/things.safetensors && mv free/kept moved/kept");
    snprintf(settings, sizeof settings,
             "model.path=%s prompt.embeds=%s sampler.noise=%s diffusion_forcing.prefix_latents=%s "
             "checkpoint.directory=%s output.latents=%s output.log=%s",
             job_path("moved/other"), job_path("moved/things.safetensors"),
             job_path("moved/things.safetensors"), job_path("moved/things.safetensors"),
             job_path("moved/kept"), job_path("moved/video.h5"), job_path("moved/log"));
    end = job_must("free/job.yaml", settings, -1);
    CHECK(end.iterations == 3, "moved: %lld iterations", (long long)end.iterations);
    job_same(&end, &one, "moved files");
    partial_free(&one);
}

/* The same weights in another layout are the same weights. */
static void another_layout_of_the_same_model_goes_on(void)
{
    static const char *const layouts[] = {"diffusers", "native-sharded", "comfy.safetensors"};
    job_begin_files("layouts");
    struct partial_end one = job_must("layouts/job.yaml", "checkpoint.directory=off", -1);
    job_shell("cp -r layouts/out.h5.checkpoint layouts/kept");
    for (int l = 0; l < 3; l++) {
        char settings[1024];
        job_shell("rm -rf layouts/out.h5.checkpoint && cp -r layouts/kept layouts/out.h5.checkpoint");
        snprintf(settings, sizeof settings, "model.path=%s/tiny-df/%s", test_reference(), layouts[l]);
        struct partial_end end = job_must("layouts/job.yaml", settings, -1);
        CHECK(end.iterations == 3, "%s: %lld iterations", layouts[l], (long long)end.iterations);
        job_same(&end, &one, layouts[l]);
    }
    partial_free(&one);
}

/* Lets a job that was stopped after max iterations with these settings grow to 41 frames; compares it with a
 * new one. */
static void grows(const char *settings, int64_t max, const char *sentence)
{
    char longer[512], off[1024];
    struct partial_end end;
    job_shell("rm -rf grow.h5 grow.h5.checkpoint");
    end = job_must("grow.yaml", settings, max);
    partial_free(&end);
    char *frames = strstr(settings, "video.frames=");
    snprintf(longer, sizeof longer, "%.*s video.frames=41",
             frames ? (int)(frames - settings) : (int)strlen(settings), settings);
    snprintf(off, sizeof off, "%s checkpoint.directory=off output.latents=%s", longer, job_path("fresh.h5"));
    struct partial_end one = job_must("grow.yaml", off, -1);
    end = job_must("grow.yaml", longer, -1);
    CHECK(job_says(&end, "the video grows to 41 frames") && job_says(&end, sentence), "%s: %s", longer,
          end.notes);
    job_same(&end, &one, longer);
    partial_free(&one);
    struct reel_output_file output;
    CHECK(reel_output_open(job_path("grow.h5"), &output) == REEL_OK && output.complete &&
              output.frames == 41 && output.finished_frames == 11 && output.chunk_count == 3,
          "the output of %s", longer);
    reel_output_close(&output);
    end = job_must("grow.yaml", longer, -1);
    CHECK(end.nothing_to_do, "%s is not complete now", longer);
}

static void a_video_may_grow(void)
{
    static const char fresh[] = "the result is that of a fresh job of this length";
    job_write("grow.yaml", job_growing);
    grows("", -1, fresh);
    grows("", 2, fresh);
    grows("", 4, fresh);
    grows("", 6, fresh);
    grows("teacache.mode=e0 teacache.threshold=1.0 teacache.coefficients=[1,0] teacache.start_step=1", 5,
          fresh);
    grows("diffusion_forcing.ar_step=1", 7, fresh);
    grows("video.frames=33", 5, fresh); /* its short last chunk has not begun */
}

static void frames_behind_a_short_chunk_follow_it(void)
{
    job_write("grow.yaml", job_growing);
    for (int64_t max = -1; max <= 9; max += 10) { /* complete, or stopped in the middle of the short chunk */
        job_shell("rm -rf grow.h5 grow.h5.checkpoint");
        struct partial_end kept = job_must("grow.yaml", "video.frames=33 checkpoint.directory=off", -1);
        struct partial_end end = job_must("grow.yaml", "video.frames=33", max);
        partial_free(&end);
        end = job_must("grow.yaml", "video.frames=41", -1);
        CHECK(job_says(&end, "not that of a fresh job"), "%s", end.notes);
        int64_t plane = 6 * 8;
        CHECK(end.complete && end.count == 16 * 11 * plane && kept.count == 16 * 9 * plane, "%lld numbers",
              (long long)end.count);
        for (int64_t c = 0; end.latents && c < 16; c++)
            CHECK(memcmp(end.latents + c * 11 * plane, kept.latents + c * 9 * plane,
                         (size_t)(9 * plane) * 4) == 0,
                  "channel %lld: finished frames have changed", (long long)c);
        partial_free(&end);
        partial_free(&kept);
    }
}

/* The noise file of a reference case has noise for every chunk. */
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
    job_write("grow.yaml", text);
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
    job_write("end.yaml", text);
    job_must("end.yaml", "", 2);
    job_refused("end.yaml", "video.frames=41", end_words, 3);
    job_write("grow.yaml", job_growing);
    for (int64_t max = 2; max >= -1; max -= 3) {
        job_shell("rm -rf grow.h5 grow.h5.checkpoint");
        struct partial_end end = job_must("grow.yaml", "", max);
        partial_free(&end);
        job_refused("grow.yaml", "video.frames=17", shrink_words, 2);
        job_shell("rm -rf grow.h5 grow.h5.checkpoint");
        end = job_must("grow.yaml", "diffusion_forcing.overlap_frames=0 diffusion_forcing.ar_step=1", max);
        partial_free(&end);
        job_refused("grow.yaml",
                    "diffusion_forcing.overlap_frames=0 diffusion_forcing.ar_step=1 video.frames=41",
                    overlap_words, 2);
    }
}

int main(int argc, char **argv)
{
    int level;
    setenv("OMPI_MCA_io", "romio321", 0);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &job_rank);
    test_folder(); /* collective on its first call */
    RUN(a_changed_key_is_named_with_both_values);
    RUN(changed_contents_are_named);
    RUN(another_model_is_named);
    RUN(what_does_not_matter_may_change);
    RUN(another_layout_of_the_same_model_goes_on);
    RUN(a_video_may_grow);
    RUN(frames_behind_a_short_chunk_follow_it);
    RUN(a_video_with_noise_from_a_file_may_grow);
    RUN(what_cannot_grow_says_why);
    int failed = test_end();
    MPI_Finalize();
    return failed;
}
