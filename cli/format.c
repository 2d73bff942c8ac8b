/* format.c - sizes, numbers, durations and times as texts, and back. */
#include "cli/format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- sizes and numbers ---- */

void format_bytes(struct buf *out, uint64_t n) {
    static const char *const unit[] = {"B", "KB", "MB", "GB", "TB"};
    int i = 0;
    double v = (double)n;
    uint64_t one = 1; /* bytes of the unit */
    for (; i < 4 && n / one >= 1000; i++) one *= 1000;
    v = (double)n / (double)one;
    if (v < 10 && n % one != 0)
        buf_printf(out, "%.1f %s", v, unit[i]);
    else
        buf_printf(out, "%llu %s", (unsigned long long)(n / one), unit[i]);
}

void format_bytes2(struct buf *out, uint64_t n) {
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    if (n < 1024) {
        buf_printf(out, "%llu B", (unsigned long long)n);
        return;
    }
    int i = 0;
    double v = (double)n;
    for (; v >= 1024 && i < 4; i++) v /= 1024;
    buf_printf(out, "%.1f %s", v, unit[i]);
}

void format_number(struct buf *out, uint64_t n) {
    const double v = (double)n;
    if (n >= 1000000000)
        buf_printf(out, "%.*fB", n % 1000000000 != 0 ? 1 : 0, v / 1e9);
    else if (n >= 1000000)
        buf_printf(out, "%.*fM", n % 1000000 != 0 ? 2 : 0, v / 1e6);
    else if (n >= 1000)
        buf_printf(out, "%.0fK", v / 1e3);
    else
        buf_printf(out, "%llu", (unsigned long long)n);
}

/* ---- durations ---- */

/* value / scale with as many decimals as it takes, and no more. */
static void put_fraction(struct buf *out, uint64_t value, uint64_t scale, const char *unit) {
    buf_printf(out, "%llu", (unsigned long long)(value / scale));
    uint64_t rest = value % scale;
    if (rest != 0) buf_chr(out, '.');
    while (rest != 0) {
        scale /= 10;
        buf_chr(out, (char)('0' + rest / scale));
        rest %= scale;
    }
    buf_str(out, unit);
}

void format_duration(struct buf *out, int64_t ns) {
    uint64_t n = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
    const uint64_t second = 1000000000;
    if (ns < 0) buf_chr(out, '-');
    if (n == 0) {
        buf_str(out, "0s");
    } else if (n < 1000) {
        put_fraction(out, n, 1, "ns");
    } else if (n < 1000000) {
        put_fraction(out, n, 1000, "µs");
    } else if (n < second) {
        put_fraction(out, n, 1000000, "ms");
    } else {
        uint64_t minutes = n / second / 60;
        if (minutes >= 60) buf_printf(out, "%lluh", (unsigned long long)(minutes / 60));
        if (minutes > 0) buf_printf(out, "%llum", (unsigned long long)(minutes % 60));
        put_fraction(out, n % (60 * second), second, "s");
    }
}

void format_span(struct buf *out, double seconds) {
    const long s = (long)seconds, minutes = s / 60, hours = lround(seconds / 3600);
    if (s < 1)
        buf_str(out, "Less than a second");
    else if (s == 1)
        buf_str(out, "1 second");
    else if (s < 60)
        buf_printf(out, "%ld seconds", s);
    else if (minutes == 1)
        buf_str(out, "About a minute");
    else if (minutes < 60)
        buf_printf(out, "%ld minutes", minutes);
    else if (hours == 1)
        buf_str(out, "About an hour");
    else if (hours < 48)
        buf_printf(out, "%ld hours", hours);
    else if (hours < 24 * 14)
        buf_printf(out, "%ld days", hours / 24);
    else if (hours < 24 * 60)
        buf_printf(out, "%ld weeks", hours / 24 / 7);
    else if (hours < 24 * 365 * 2)
        buf_printf(out, "%ld months", hours / 24 / 30);
    else
        buf_printf(out, "%ld years", hours / 24 / 365);
}

/* ---- reading times ---- */

/* Days from 1970-01-01 in the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date
 * algorithms", days_from_civil). */
static int64_t days_of(int y, int m, int d) {
    y -= m <= 2;
    const int64_t era = (y >= 0 ? y : y - 399) / 400;
    const int64_t yoe = y - era * 400, doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int64_t fraction_ns(const char **s) {
    int64_t ns = 0, digit = 100000000;
    if (**s != '.') return 0;
    for (++*s; **s >= '0' && **s <= '9'; ++*s, digit /= 10) ns += (**s - '0') * digit;
    return ns;
}

bool parse_time(const char *text, int64_t *unix_ns) {
    int y, mon, d, h, min, sec, used = 0, zone_h = 0, zone_m = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &y, &mon, &d, &h, &min, &sec, &used) != 6)
        return false;
    const char *s = text + used;
    const int64_t ns = fraction_ns(&s);
    if ((*s == '+' || *s == '-') && sscanf(s + 1, "%2d:%2d", &zone_h, &zone_m) != 2) return false;
    const int64_t zone = (*s == '-' ? -60 : 60) * (zone_h * 60 + zone_m);
    const int64_t secs = days_of(y, mon, d) * 86400 + h * 3600 + min * 60 + sec - zone;
    *unix_ns = y < 1678 || y > 2261 ? (y < 1678 ? INT64_MIN : INT64_MAX) : secs * 1000000000 + ns;
    return true;
}
