/* picture_webp.c - WebP files through libwebp: lossy, lossless, with alpha; of an animation the
 * first frame, on a white canvas. */
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "base/mem.h"
#include "engine/vision/picture_impl.h"

static enum status failed(VP8StatusCode code, struct err *e) {
    static const char *const text[] = {[VP8_STATUS_INVALID_PARAM] = "no picture in it",
                                       [VP8_STATUS_BITSTREAM_ERROR] = "broken data",
                                       [VP8_STATUS_UNSUPPORTED_FEATURE] = "an unknown feature",
                                       [VP8_STATUS_NOT_ENOUGH_DATA] = "the file ends too soon"};
    if (code == VP8_STATUS_OUT_OF_MEMORY) return err_no_memory(e);
    if ((size_t)code >= sizeof text / sizeof *text || text[code] == NULL)
        return err_set(e, ST_FORMAT, "decoder error %d", (int)code);
    return err_set(e, code == VP8_STATUS_UNSUPPORTED_FEATURE ? ST_UNSUPPORTED : ST_FORMAT, "%s",
                   text[code]);
}

/* One bitstream of w x h pixels into out[h][w][channels]. */
static enum status decode(const uint8_t *data, size_t n, int w, int h, int channels, uint8_t *out,
                          struct err *e) {
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) return err_set(e, ST_INTERNAL, "another libwebp");
    config.output.colorspace = channels == 3 ? MODE_RGB : MODE_RGBA;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = out;
    config.output.u.RGBA.stride = w * channels;
    config.output.u.RGBA.size = (size_t)w * (size_t)h * (size_t)channels;
    const VP8StatusCode code = WebPDecode(data, n, &config);
    return code == VP8_STATUS_OK ? ST_OK : failed(code, e);
}

/* The same, laid over white at x, y of the picture that there is. */
static enum status decode_over(struct decode *d, const uint8_t *data, size_t n, int x, int y, int w,
                               int h, struct err *e) {
    uint8_t *rgba = mem_array((size_t)w * (size_t)h, 4);
    if (rgba == NULL) return err_no_memory(e);
    enum status st = decode(data, n, w, h, 4, rgba, e);
    for (int row = 0; st == ST_OK && row < h; row++)
        picture_over_white(d->out.rgb + ((size_t)(y + row) * (size_t)d->out.w + (size_t)x) * 3,
                           rgba + (size_t)row * (size_t)w * 4, (size_t)w);
    mem_free(rgba);
    return st;
}

static enum status first_frame(struct decode *d, const WebPDemuxer *demux, struct err *e) {
    WebPIterator frame;
    const uint32_t w = WebPDemuxGetI(demux, WEBP_FF_CANVAS_WIDTH);
    const uint32_t h = WebPDemuxGetI(demux, WEBP_FF_CANVAS_HEIGHT);
    enum status st = picture_begin(d, w, h, 0, e);
    if (st != ST_OK) return st;
    memset(d->out.rgb, 255, (size_t)w * h * 3);
    if (!WebPDemuxGetFrame(demux, 1, &frame)) return err_set(e, ST_FORMAT, "no picture in it");
    if (frame.x_offset < 0 || frame.y_offset < 0 || frame.width > d->out.w - frame.x_offset ||
        frame.height > d->out.h - frame.y_offset)
        st = err_set(e, ST_FORMAT, "a frame outside of the canvas");
    else
        st = decode_over(d, frame.fragment.bytes, frame.fragment.size, frame.x_offset,
                         frame.y_offset, frame.width, frame.height, e);
    WebPDemuxReleaseIterator(&frame);
    return st;
}

static enum status animation(struct decode *d, struct err *e) {
    const WebPData file = {d->data, d->n};
    WebPDemuxer *demux = WebPDemux(&file);
    if (demux == NULL) return err_set(e, ST_FORMAT, "a broken animation");
    enum status st = first_frame(d, demux, e);
    WebPDemuxDelete(demux);
    return st;
}

enum status picture_webp(struct decode *d, struct err *e) {
    const uint8_t *size = d->data + 4; /* the magic was there: 12 bytes at least */
    const uint64_t riff = (uint64_t)size[0] | (uint64_t)size[1] << 8 | (uint64_t)size[2] << 16 |
                          (uint64_t)size[3] << 24;
    WebPBitstreamFeatures f;
    if (riff + 8 > d->n) return failed(VP8_STATUS_NOT_ENOUGH_DATA, e);
    const VP8StatusCode code = WebPGetFeatures(d->data, d->n, &f);
    if (code != VP8_STATUS_OK) return failed(code, e);
    if (f.width < 0 || f.height < 0) return failed(VP8_STATUS_BITSTREAM_ERROR, e);
    if (f.has_animation) return animation(d, e);
    enum status st = picture_begin(d, (uint64_t)f.width, (uint64_t)f.height, 0, e);
    if (st != ST_OK) return st;
    return f.has_alpha ? decode_over(d, d->data, d->n, 0, 0, f.width, f.height, e)
                       : decode(d->data, d->n, f.width, f.height, 3, d->out.rgb, e);
}
