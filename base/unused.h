/* unused.h - for the parameters of functions in a table, of which hardly one uses all. */
#ifndef CRIA_BASE_UNUSED_H
#define CRIA_BASE_UNUSED_H

#define MAYBE_UNUSED __attribute__((unused))

#endif
