/* version.h - the versions, in one place. */
#ifndef CRIA_BASE_VERSION_H
#define CRIA_BASE_VERSION_H

#define CRIA_VERSION "0.1.0"

/* What /api/version and registries are told: a release of the server whose API this is. Clients
 * compare it as a semantic version and refuse what they think too old, models say what they
 * require. cria's own version is in the header `Server`. */
#define CRIA_API_VERSION "0.30.0"

#endif
