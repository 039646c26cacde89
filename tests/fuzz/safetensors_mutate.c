/* How libFuzzer changes a safetensors file. Most mutants keep the header length and the data size consistent,
 * so that they get beyond the first check. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_MAX = 1 << 16, DATA_MAX = 1 << 13 };

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t count, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t count, size_t max, unsigned int seed);

/* The size of the data that the header describes: the greatest end of all data_offsets, at most DATA_MAX. */
static size_t promised_bytes(const char *header)
{
    static const char key[] = "\"data_offsets\"";
    size_t promised = 0;
    for (const char *c = header; (c = strstr(c, key)); c++) {
        const char *comma = c + strcspn(c, ",}");
        unsigned long long end = *comma == ',' ? strtoull(comma + 1, NULL, 10) : 0;
        if (end > promised && end <= DATA_MAX)
            promised = (size_t)end;
    }
    return promised;
}

/* Writes length, header and data, as much as fits, with the header's true length. */
static size_t compose(uint8_t *bytes, size_t max, const char *header, size_t header_bytes,
                      const uint8_t *data, size_t data_bytes, size_t wanted)
{
    uint64_t length = header_bytes;
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, header_bytes);
    size_t room = max - 8 - header_bytes, used = wanted < room ? wanted : room;
    for (size_t b = 0; b < used; b++)
        bytes[8 + header_bytes + b] = b < data_bytes ? data[b] : (uint8_t)b;
    return 8 + header_bytes + used;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t count, size_t max, unsigned int seed)
{
    static char header[HEADER_MAX + 1];
    static uint8_t data[DATA_MAX];
    uint64_t length = 0;
    if (count >= 8)
        memcpy(&length, bytes, 8);
    if (seed % 8 == 0 || count < 8 || length > count - 8 || max < 16 || length > max - 8 ||
        max - 8 > HEADER_MAX || count - 8 - length > DATA_MAX)
        return LLVMFuzzerMutate(bytes, count, max);
    size_t header_bytes = (size_t)length, data_bytes = count - 8 - header_bytes;
    memcpy(header, bytes + 8, header_bytes);
    memcpy(data, bytes + 8 + header_bytes, data_bytes);
    if (seed % 8 == 1)
        data_bytes = LLVMFuzzerMutate(data, data_bytes, DATA_MAX);
    else
        header_bytes = LLVMFuzzerMutate((uint8_t *)header, header_bytes, max - 8);
    header[header_bytes] = '\0';
    size_t wanted = seed % 8 == 2 ? data_bytes : promised_bytes(header);
    return compose(bytes, max, header, header_bytes, data, data_bytes, wanted);
}
