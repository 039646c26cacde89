/* Sizes of tiles, which the SIMD kernels have to divide. */
#ifndef REEL_TILES_H
#define REEL_TILES_H

/* Sizes of tiles. They fit a first-level cache of 32 KB (48 KB with AVX-512) and a second-level cache of
 * 512 KB. A B panel and an A panel of one piece of k, together 22 KB (44 KB with AVX-512), stay in the
 * first-level cache; a tile's packed rows stay in the second-level cache. Each size that is cut into panels
 * must be a multiple of every kernel's panel size; simd_kernel.h checks this. */
enum {
    REEL_TILE_ROWS = 288,    /* maximum rows of a GEMM tile */
    REEL_TILE_COLUMNS = 768, /* maximum columns of a GEMM tile */
    REEL_TILE_PIECE = 256,   /* a piece of k: elements of a row that are packed and multiplied at once */
    REEL_QUERY_TILE = 288,   /* maximum queries of an attention tile */
    REEL_KEY_TILE = 132,     /* keys of an attention tile */
};

#endif
