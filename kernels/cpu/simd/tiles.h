/* Sizes of tiles, which the vector kernels have to divide. */
#ifndef REEL_TILES_H
#define REEL_TILES_H

/* Sizes of tiles, for a first cache of 32 KB (48 with AVX-512) and a second one of 512 KB: a strip and a block
 * of a piece of k, 22 KB (44), stay in the first, a tile's packed rows in the second. What is cut into blocks or
 * strips is a multiple of all of them (simd_kernel.h). */
enum {
    REEL_TILE_ROWS = 288,    /* rows of a GEMM tile at most */
    REEL_TILE_COLUMNS = 768, /* columns of one at most */
    REEL_TILE_PIECE = 256,   /* numbers of a row that are multiplied at once */
    REEL_QUERY_TILE = 288,   /* queries of an attention tile at most */
    REEL_KEY_TILE = 132,     /* keys of an attention tile */
};

#endif
