/* tile.h - a tile on its way through the encoder, between patches.c and encode.c. */
#ifndef CRIA_ENGINE_VISION_TILE_H
#define CRIA_ENGINE_VISION_TILE_H

#include "engine/vision/projector.h"

struct tile {
    const struct projector *p;
    const struct picture *picture;
    uint32_t gx, gy; /* patches across and down */
    uint32_t n;      /* rows of the body: patches, and the class token behind them */
    uint32_t window; /* patches a side; 0: none */
    struct vit_inputs in;
    float *rows;   /* [n][in.width], owned */
    int32_t *axes; /* [n][3], owned */
};

/* Fills in rows and axes; what stands above them is there. ST_LIMIT, ST_NO_MEMORY. */
enum status tile_rows(struct tile *t, struct err *e);
/* The row of the patch at (x, y): line by line, or block by block. */
uint32_t tile_row(const struct tile *t, uint32_t x, uint32_t y);

#endif
