/* tables.h - one row list per family file; arch_find() in list.c looks through them all. */
#ifndef CRIA_ENGINE_CONVERT_TABLES_H
#define CRIA_ENGINE_CONVERT_TABLES_H

#include "engine/convert/impl.h"

#define FAMILY(name) extern const struct arch_table name##_tables[];
#include "engine/convert/arch/list.def"
#undef FAMILY

extern const struct rename llama_names[]; /* used by others whose names are the same */

#endif
