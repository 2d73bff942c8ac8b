/* netlog.c - who is talked to: preloaded into cria (LD_PRELOAD) by test_quiet.py.
 *
 * Every connect(), every datagram with an address and every name that is looked up becomes a line
 * of the file NETLOG: "connect 127.0.0.1:11434", "connect unix", "sendto 9.9.9.9:53", "name
 * example.com". The calls themselves are made as usual. */
#undef _FORTIFY_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int file = -1;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("NETLOG");
    if (path != NULL) file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

/* One write a line: processes and threads share the file. */
static void tell(const char *call, const char *what) {
    char line[512];
    const int n = snprintf(line, sizeof line, "%s %s\n", call, what);
    if (file >= 0 && write(file, line, (size_t)n) < 0) abort();
}

static void tell_address(const char *call, const struct sockaddr *a) {
    char host[INET6_ADDRSTRLEN] = "", text[INET6_ADDRSTRLEN + 32];
    if (a == NULL) return; /* a socket that is connected already */
    if (a->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)a;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(text, sizeof text, "%s:%d", host, ntohs(in->sin_port));
    } else if (a->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)a;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        snprintf(text, sizeof text, "[%s]:%d", host, ntohs(in6->sin6_port));
    } else {
        snprintf(text, sizeof text, a->sa_family == AF_UNIX ? "unix" : "family %d", a->sa_family);
    }
    tell(call, text);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int connect(int fd, const struct sockaddr *a, socklen_t len) {
    tell_address("connect", a);
    return REAL(connect)(fd, a, len);
}

ssize_t sendto(int fd, const void *data, size_t n, int flags, const struct sockaddr *a,
               socklen_t len) {
    tell_address("sendto", a);
    return REAL(sendto)(fd, data, n, flags, a, len);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags) {
    tell_address("sendmsg", m->msg_name);
    return REAL(sendmsg)(fd, m, flags);
}

int sendmmsg(int fd, struct mmsghdr *m, unsigned n, int flags) {
    for (unsigned i = 0; i < n; i++) tell_address("sendmmsg", m[i].msg_hdr.msg_name);
    return REAL(sendmmsg)(fd, m, n, flags);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out) {
    if (node != NULL) tell("name", node);
    return REAL(getaddrinfo)(node, service, hints, out);
}

struct hostent *gethostbyname(const char *name) {
    tell("name", name);
    return REAL(gethostbyname)(name);
}
