/* archive_impl.h - where things lie in an archive. For export.c and import.c. */
#ifndef CRIA_STORE_ARCHIVE_IMPL_H
#define CRIA_STORE_ARCHIVE_IMPL_H

#define ARCHIVE_MANIFESTS "manifests/"
#define ARCHIVE_BLOBS "blobs/"

enum { ARCHIVE_PIECE = 1 << 18 };

#endif
