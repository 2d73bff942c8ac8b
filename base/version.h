/* version.h - the version of cria, in one place. Clients of /api/version compare it as semver. */
#ifndef CRIA_BASE_VERSION_H
#define CRIA_BASE_VERSION_H

#define CRIA_VERSION "0.1.0"

#endif
