/* log.h - one line per event on stderr: time=RFC3339 level=INFO source=engine msg="...".
 *
 * The form is that of spec/cli.md 2 (serve). Level from the settings log or debug (1: debug);
 * default INFO for serve, WARN for every other command. Thread-safe, one write per line. A message
 * is cut at 2 KB; control bytes in it are escaped. */
#ifndef CRIA_BASE_LOG_H
#define CRIA_BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* The level when the settings name none (which win). At first: LOG_WARN. */
void log_set_level(enum log_level level);
void log_reload(void); /* the settings have changed: they are looked up again */
enum log_level log_get_level(void);
void log_write(enum log_level level, const char *source, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(source, ...) log_write(LOG_DEBUG, source, __VA_ARGS__)
#define log_info(source, ...) log_write(LOG_INFO, source, __VA_ARGS__)
#define log_warn(source, ...) log_write(LOG_WARN, source, __VA_ARGS__)
#define log_error(source, ...) log_write(LOG_ERROR, source, __VA_ARGS__)

#endif
