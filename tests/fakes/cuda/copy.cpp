/* Copies and fills: checked when they are issued, done when their stream reaches them. */
#include "internal.h"

#include <memory>
#include <vector>

/* Rows of bytes. */
struct rows {
    char *to;
    size_t to_pitch;
    const char *from;
    size_t from_pitch, width, height;
};

static size_t span_of(size_t pitch, size_t width, size_t height)
{
    return pitch * (height - 1) + width;
}

static void copy(const struct rows &rows)
{
    for (size_t row = 0; row < rows.height; row++)
        memmove(rows.to + row * rows.to_pitch, rows.from + row * rows.from_pitch, rows.width);
}

/* Ends the process unless each side lies wholly in the memory that the kind names. */
static void check(const char *call, const struct rows &rows, enum cudaMemcpyKind kind)
{
    enum reel_fake_place to = reel_fake_place_of(rows.to), from = reel_fake_place_of(rows.from);
    bool to_device = to == REEL_DEVICE, from_device = from == REEL_DEVICE;
    if (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice)
        to = REEL_DEVICE;
    else if (kind != cudaMemcpyDefault && to_device)
        to = REEL_PAGEABLE;
    if (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice)
        from = REEL_DEVICE;
    else if (kind != cudaMemcpyDefault && from_device)
        from = REEL_PAGEABLE;
    reel_fake_need(call, rows.to, span_of(rows.to_pitch, rows.width, rows.height), to);
    reel_fake_need(call, rows.from, span_of(rows.from_pitch, rows.width, rows.height), from);
}

/* Pageable memory that is the source is read now; pageable memory that is the target has been written when
 * this returns. */
static void issue(const struct rows &rows, cudaStream_t queue)
{
    if (reel_fake_place_of(rows.from) != REEL_PAGEABLE) {
        reel_fake_push(queue, [rows] { copy(rows); });
    } else {
        auto bytes = std::make_shared<std::vector<char>>(rows.width * rows.height);
        struct rows taken = {bytes->data(), rows.width, rows.from, rows.from_pitch, rows.width, rows.height};
        copy(taken);
        struct rows given = {rows.to, rows.to_pitch, bytes->data(), rows.width, rows.width, rows.height};
        reel_fake_push(queue, [given, bytes] { copy(given); });
    }
    if (reel_fake_place_of(rows.to) == REEL_PAGEABLE)
        reel_fake_drain(queue);
}

static cudaError_t copy_rows(const char *call, const struct rows &rows, enum cudaMemcpyKind kind,
                             cudaStream_t queue)
{
    reel_fake_guard guard(reel_fake_lock());
    reel_fake_need_stream(call, queue);
    if (int code = reel_fake_refused(call))
        return reel_fake_answer(static_cast<cudaError_t>(code));
    if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault)
        return reel_fake_answer(cudaErrorInvalidMemcpyDirection);
    if (rows.width == 0 || rows.height == 0)
        return cudaSuccess;
    if (rows.width > rows.to_pitch || rows.width > rows.from_pitch)
        return reel_fake_answer(cudaErrorInvalidPitchValue);
    if (!rows.to || !rows.from)
        return reel_fake_answer(cudaErrorInvalidValue);
    check(call, rows, kind);
    issue(rows, queue);
    return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, enum cudaMemcpyKind kind, cudaStream_t queue)
{
    struct rows rows = {
        static_cast<char *>(to), to_pitch, static_cast<const char *>(from), from_pitch, width, height};
    return copy_rows("cudaMemcpy2DAsync", rows, kind, queue);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t queue)
{
    struct rows rows = {static_cast<char *>(to), bytes, static_cast<const char *>(from), bytes, bytes, 1};
    return copy_rows("cudaMemcpyAsync", rows, kind, queue);
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    struct rows rows = {static_cast<char *>(to), bytes, static_cast<const char *>(from), bytes, bytes, 1};
    return copy_rows("cudaMemcpy", rows, kind, nullptr);
}

static cudaError_t fill_rows(const char *call, const struct rows &rows, int value, cudaStream_t queue)
{
    reel_fake_guard guard(reel_fake_lock());
    reel_fake_need_stream(call, queue);
    if (int code = reel_fake_refused(call))
        return reel_fake_answer(static_cast<cudaError_t>(code));
    if (rows.width == 0 || rows.height == 0)
        return cudaSuccess;
    if (rows.width > rows.to_pitch)
        return reel_fake_answer(cudaErrorInvalidPitchValue);
    if (reel_fake_place_of(rows.to) != REEL_PINNED)
        reel_fake_need(call, rows.to, span_of(rows.to_pitch, rows.width, rows.height), REEL_DEVICE);
    reel_fake_push(queue, [rows, value] {
        for (size_t row = 0; row < rows.height; row++)
            memset(rows.to + row * rows.to_pitch, value, rows.width);
    });
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t queue)
{
    return fill_rows("cudaMemsetAsync", {static_cast<char *>(to), bytes, nullptr, 0, bytes, 1}, value, queue);
}

cudaError_t cudaMemset2DAsync(void *to, size_t pitch, int value, size_t width, size_t height,
                              cudaStream_t queue)
{
    return fill_rows("cudaMemset2DAsync", {static_cast<char *>(to), pitch, nullptr, 0, width, height}, value,
                     queue);
}
