/* http_corpus_test.c - a corpus of requests that two servers in a row may read in two ways
 * (spec/security.md S-NET-10, S-NET-2; RFC 9112), sent over a real socket.
 *
 * The rows say what cria does; where that is stricter than it must be (a tab in a value, an
 * extension of a chunk, more than 63 headers: 400, 431 or the end of the connection) or more
 * lenient (empty lines before a request, trailers: the connection ends behind them) it is the
 * library, and docs/http.md says so. What no row may show is a second request that is cut
 * elsewhere.
 *
 * Behind each stands a second request, NEXT. What comes back tells how the server has cut the
 * bytes: the handler answers with what it was given, METHOD HOST PATH [BODY]. So a request that is
 * refused shows its status and nothing behind it, and one that is served shows exactly its own
 * body, and then NEXT. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/http_testing.h"
#include "base/mem.h"

#define NEXT "GET /next HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n"
#define THEN "|GET n /next []"
#define G "GET /a HTTP/1.1\r\nHost: x\r\n"
#define P "POST /a HTTP/1.1\r\nHost: x\r\n"
#define TE "Transfer-Encoding: chunked\r\n"
#define CL(n) "Content-Length: " n "\r\n"
#define A200                                                                                       \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaa"                                                                                     \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaa"
#define A1000 A200 A200 A200 A200 A200
#define A8000 A1000 A1000 A1000 A1000 A1000 A1000 A1000 A1000
#define A16000 A8000 A8000

struct row {
    const char *request;
    size_t n;
    const char *answer;
};
#define ROW(request, answer)                                                                       \
    { request, sizeof(request) - 1, answer }

static const struct row methods_and_targets[] = {
    ROW(G "\r\n", "GET x /a []" THEN),
    ROW("\r\n" G "\r\n", "GET x /a []" THEN),
    ROW("\n" G "\r\n", "GET x /a []" THEN),
    ROW(" " G "\r\n", "GET x /a []" THEN),
    ROW("\t" G "\r\n", "400"),
    ROW("GET  /a HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a  HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET\t/a HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a\tHTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1 \r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a\r\nHost: x\r\n\r\n", "400"),
    ROW("GET\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\nHost: x\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\rHost: x\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\r\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a\x7f HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a\x01 HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a%0ab HTTP/1.1\r\nHost: x\r\n\r\n", "GET x /a%0ab []" THEN),
    ROW("GET a HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET ../a HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET ?a HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a?b=/c HTTP/1.1\r\nHost: x\r\n\r\n", "GET x /a []" THEN),
    ROW("GET //y/a HTTP/1.1\r\nHost: x\r\n\r\n", "GET x //y/a []" THEN),
    ROW("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", ""),
    ROW("CONNECT y:443 HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("FOO /a HTTP/1.1\r\nHost: x\r\n\r\n", "FOO  /a []"),
    ROW("get /a HTTP/1.1\r\nHost: x\r\n\r\n", "get  /a []"),
    ROW("M-SEARCH /a HTTP/1.1\r\nHost: x\r\n\r\n", "M-SEARCH  /a []"),
    ROW("GE(T /a HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET: /a HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("G\0T /a HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("G\xc3\xa9T /a HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"), /* TLS */
    ROW("GET /" A8000 " HTTP/1.1\r\nHost: x\r\n\r\n", "GET x /" A8000 " []" THEN),
    ROW("GET /" A8000 A200 " HTTP/1.1\r\nHost: x\r\n\r\n", "414"),
};

static const struct row versions[] = {
    ROW("GET /a HTTP/1.0\r\n\r\n", "GET  /a []"),
    ROW("GET /a HTTP/1.0\r\nHost: x\r\n\r\n", "GET x /a []"),
    ROW("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET  /a []"),
    ROW("GET /a HTTP/1.2\r\nHost: x\r\n\r\n", "505"),
    ROW("GET /a HTTP/1.9\r\nHost: x\r\n\r\n", "505"),
    ROW("GET /a HTTP/0.9\r\nHost: x\r\n\r\n", "505"),
    ROW("GET /a HTTP/2.0\r\nHost: x\r\n\r\n", "505"),
    ROW("GET /a HTTP/3.0\r\nHost: x\r\n\r\n", "505"),
    ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"),
    ROW("GET /a HTTP/2\r\nHost: x\r\n\r\n", "505"),
    ROW("GET /a HTTP/1.10\r\nHost: x\r\n\r\n", "505"),
    ROW("GET /a HTTP/01.1\r\nHost: x\r\n\r\n", "505"),
    ROW("GET /a HTTP/1.\r\nHost: x\r\n\r\n", "505"),
    ROW("GET /a HTTP/+1.1\r\nHost: x\r\n\r\n", "505"),
    ROW("GET /a HTTP/1,1\r\nHost: x\r\n\r\n", "505"),
    ROW("GET /a http/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a HTTPS/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a RTSP/1.0\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1x\r\nHost: x\r\n\r\n", "505"),
};

static const struct row hosts[] = {
    ROW("GET /a HTTP/1.1\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\r\nHost:\r\n\r\n", "GET  /a []" THEN),
    ROW("GET /a HTTP/1.1\r\nHost: x:80\r\n\r\n", "GET x:80 /a []" THEN),
    ROW("GET /a HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET [::1]:80 /a []" THEN),
    ROW("GET /a HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\r\nHost: x, y\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\r\nHost: x y\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\r\nHost: x/b\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\r\nHost: u@x\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\r\nHost: x?b\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\r\nHost: x#b\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\r\nHost: x\\b\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\r\nHost : x\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\r\n Host: x\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\r\nHost\r\n\r\n", "400"),
    ROW("GET /a HTTP/1.1\r\nHost: x\r\n y\r\n\r\n", "400"),
    ROW("GET http://y/a HTTP/1.1\r\nHost: x\r\n\r\n", ""),
    ROW("GET http://y:80/a?q HTTP/1.1\r\nHost: x\r\n\r\n", ""),
    ROW("GET HTTPS://y/a HTTP/1.1\r\nHost: x\r\n\r\n", ""),
    ROW("GET http://y HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET http://y?q HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET http://y/a HTTP/1.0\r\n\r\n", ""),
    ROW("GET http://y/a HTTP/1.1\r\n\r\n", ""),
    ROW("GET http://y/a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", ""),
    ROW("GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n", ""),
    ROW("GET http:// HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET http:/y/a HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET http://u@y/a HTTP/1.1\r\nHost: x\r\n\r\n", ""),
    ROW("GET http://u:p@y/a HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET http://y\\z/a HTTP/1.1\r\nHost: x\r\n\r\n", ""),
    ROW("GET ftp://y/a HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ROW("GET file:///a HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
};

static const struct row lines[] = {
    ROW(G "A: b\r\n\r\n", "GET x /a []" THEN),
    ROW(G "A:b\r\n\r\n", "GET x /a []" THEN),
    ROW(G "A:\r\n\r\n", "GET x /a []" THEN),
    ROW(G "A: b:c \t \r\n\r\n", "400"),
    ROW(G "A: \xc3\xa9\r\n\r\n", "GET x /a []" THEN),
    ROW(G "A: b\tc\r\n\r\n", "400"),
    ROW(G "A: b\r\n c\r\n\r\n", "400"),
    ROW(G "A: b\r\n\tc\r\n\r\n", "400"),
    ROW(G " A: b\r\n\r\n", "400"),
    ROW(G "A : b\r\n\r\n", "400"),
    ROW(G "A\t: b\r\n\r\n", "400"),
    ROW(G "A b: c\r\n\r\n", "400"),
    ROW(G ": b\r\n\r\n", "400"),
    ROW(G "A\r\n\r\n", "400"),
    ROW(G "A(: b\r\n\r\n", "400"),
    ROW(G "A\0: b\r\n\r\n", "400"),
    ROW(G "A: b\0c\r\n\r\n", "400"),
    ROW(G "A: b\x01\r\n\r\n", "400"),
    ROW(G "A: b\x0b\r\n\r\n", "400"),
    ROW(G "A: b\x0c\r\n\r\n", "400"),
    ROW(G "A: b\x1b[0m\r\n\r\n", "400"),
    ROW(G "A: b\x7f\r\n\r\n", "400"),
    ROW(G "\xc3\xa9: b\r\n\r\n", "400"),
    ROW(G "A: b\n\r\n", "400"),
    ROW(G "A: b\n\n", "400"),
    ROW(G "\n", "400"),
    ROW(G "A: b\r\n\n", "400"),
    ROW(G "A: b\rC: d\r\n\r\n", "400"),
    ROW(G "A: b\r\r\n\r\n", "400"),
    ROW(G "\rA: b\r\n\r\n", "400"),
    ROW(G "A: b\r\n\r\r\n\r\n", "400"),
    ROW(G "A: " A16000 "\r\n\r\n", "GET x /a []" THEN),
    ROW(G "A: " A16000 A200 A200 "\r\n\r\n", "431"),
    ROW(G "A: " A16000 "\r\nB: " A16000 "\r\nC: " A16000 "\r\nD: " A16000 "\r\n\r\n",
        "GET x /a []" THEN),
    ROW(G "A: " A16000 "\r\nB: " A16000 "\r\nC: " A16000 "\r\nD: " A16000 "\r\nE: " A16000
          "\r\n\r\n",
        "431"),
    ROW(G "Connection: close\r\n\r\n", "GET x /a []"),
    ROW(G "Connection: Keep-Alive, Close\r\n\r\n", "GET x /a []"),
    ROW(G "Connection: closed\r\n\r\n", "GET x /a []"),
    ROW(G "Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        "GET x /a []"),
    ROW(G "Expect: something\r\n\r\n", "417"),
};

static const struct row lengths[] = {
    ROW(P CL("5") "\r\nhello", "POST x /a [hello]" THEN),
    ROW(P CL("0") "\r\n", "POST x /a []" THEN),
    ROW(P "\r\n", "POST x /a []" THEN),
    ROW(P CL("005") "\r\nhello", "POST x /a [hello]" THEN),
    ROW(P "content-length:5\r\n\r\nhello", "POST x /a [hello]" THEN),
    ROW(P "CONTENT-LENGTH: \t5 \r\n\r\nhello", "400"),
    ROW(G CL("5") "\r\nhello", "GET x /a [hello]" THEN),
    ROW("DELETE /a HTTP/1.1\r\nHost: x\r\n" CL("5") "\r\nhello", "DELETE x /a [hello]" THEN),
    ROW("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n", "200" THEN),
    ROW("HEAD /a HTTP/1.1\r\nHost: x\r\n" CL("5") "\r\nhello", "200" THEN),
    ROW("POST /unread HTTP/1.1\r\nHost: x\r\n" CL("5") "\r\nhello", "POST x /unread []" THEN),
    ROW("POST /unread HTTP/1.1\r\nHost: x\r\n" TE "\r\n5\r\nhello\r\n0\r\n\r\n",
        "POST x /unread []" THEN),
    ROW(P CL("5") CL("5") "\r\nhello", "POST x /a [hello]" THEN),
    ROW(P CL("5") CL("6") "\r\nhello", "400"),
    ROW(P CL("6") CL("5") "\r\nhello", "400"),
    ROW(P CL("5") CL("05") "\r\nhello", "400"),
    ROW(P CL("0") CL("5") "\r\nhello", "400"),
    ROW(P CL("5, 5") "\r\nhello", "400"),
    ROW(P CL("5,6") "\r\nhello", "400"),
    ROW(P CL("5 6") "\r\nhello", "400"),
    ROW(P CL("5;") "\r\nhello", "400"),
    ROW(P CL("") "\r\nhello", "400"),
    ROW(P CL(" ") "\r\nhello", "400"),
    ROW(P CL("+5") "\r\nhello", "400"),
    ROW(P CL("-5") "\r\nhello", "400"),
    ROW(P CL("-0") "\r\n", "400"),
    ROW(P CL("0x5") "\r\nhello", "400"),
    ROW(P CL("5h") "\r\nhello", "400"),
    ROW(P CL("a") "\r\nhello12345", "400"),
    ROW(P CL("5.0") "\r\nhello", "400"),
    ROW(P CL("5e0") "\r\nhello", "400"),
    ROW(P CL("\"5\"") "\r\nhello", "400"),
    ROW(P CL("\xd9\xa5") "\r\nhello", "400"),   /* an Arabic 5 */
    ROW(P CL("4294967301") "\r\nhello", "413"), /* 2^32 + 5 */
    ROW(P CL("9223372036854775808") "\r\nhello", "400"),
    ROW(P CL("18446744073709551621") "\r\nhello", "400"), /* 2^64 + 5 */
    ROW(P CL("99999999999999999999999999") "\r\nhello", "400"),
    ROW(P CL("999999999999999999") "\r\nhello", "413"),
    ROW(P "Content-Length : 5\r\n\r\nhello", "400"),
    ROW(P " Content-Length: 5\r\n\r\nhello", "400"),
    ROW(P "Content-Length\r\n\r\nhello", "400"),
    ROW(P "Content-Length:\r\n 5\r\n\r\nhello", "400"),
    ROW(P "Content_Length: 5\r\n\r\n", "POST x /a []" THEN), /* another name */
    ROW(P "X-A: b\nContent-Length: 5\r\n\r\nhello", "400"),
    ROW(P "X-A: b\rContent-Length: 5\r\n\r\nhello", "400"),
    ROW(P CL("5\0") "\r\nhello", "400"),
    ROW(P CL("5\x0b") "\r\nhello", "400"),
};

static const struct row codings[] = {
    ROW(P TE "\r\n5\r\nhello\r\n0\r\n\r\n", "POST x /a [hello]" THEN),
    ROW(P "transfer-encoding:CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "POST x /a [hello]" THEN),
    ROW(G TE "\r\n5\r\nhello\r\n0\r\n\r\n", "GET x /a [hello]" THEN),
    ROW(P TE CL("5") "\r\n0\r\n\r\n", "400"),
    ROW(P CL("5") TE "\r\n0\r\n\r\n", "400"),
    ROW(P CL("0") TE "\r\n5\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE CL("0") "\r\n5\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding: identity\r\n" CL("5") "\r\nhello", "400"),
    ROW(P "Transfer-Encoding: x\r\n" CL("5") "\r\nhello", "400"),
    ROW(P "Transfer-Encoding:\r\n" CL("5") "\r\nhello", "400"),
    ROW(P TE TE "\r\n0\r\n\r\n", "400"),
    ROW(P TE "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding: identity\r\n" TE "\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding: chun ked\r\n\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding: \x0b"
          "chunked\r\n\r\n0\r\n\r\n",
        "400"),
    ROW(P "Transfer-Encoding: \xc2\xa0"
          "chunked\r\n\r\n0\r\n\r\n",
        "400"),
    ROW(P "Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400"),
    ROW(P " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", "400"),
    ROW(P "Transfer-Encoding: chunked\n\r\n0\r\n\r\n", "400"),
    ROW(P "X-A: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
    ROW(P "X-A: b\rTransfer-Encoding: chunked\r\n" CL("5") "\r\nhello", "400"),
    ROW(P "Transfer_Encoding: chunked\r\n" CL("5") "\r\nhello", "POST x /a [hello]" THEN),
    ROW(P "TE: chunked\r\n" CL("5") "\r\nhello", "POST x /a [hello]" THEN),
    ROW("POST /a HTTP/1.0\r\n" TE "\r\n0\r\n\r\n", "400"),
    ROW("POST /a HTTP/1.0\r\n" TE CL("5") "\r\nhello", "400"),
    ROW("POST /a HTTP/1.0\r\n" CL("5") "\r\nhello", "POST  /a [hello]"),
    /* a request in the body stays there */
    ROW(P CL("50") "\r\n" NEXT, "POST x /a [" NEXT "]" THEN),
    ROW(P TE "\r\n32\r\n" NEXT "\r\n0\r\n\r\n", "POST x /a [" NEXT "]" THEN),
};

static const struct row chunks[] = {
    ROW(P TE "\r\n0\r\n\r\n", "POST x /a []" THEN),
    ROW(P TE "\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "POST x /a [hello]" THEN),
    ROW(P TE "\r\n0005\r\nhello\r\n000\r\n\r\n", "POST x /a [hello]" THEN),
    ROW(P TE "\r\nA\r\nhellohello\r\n0\r\n\r\n", "POST x /a [hellohello]" THEN),
    ROW(P TE "\r\na\r\nhellohello\r\n0\r\n\r\n", "POST x /a [hellohello]" THEN),
    ROW(P TE "\r\n5;a=b\r\nhello\r\n0;c\r\n\r\n", "400"),
    ROW(P TE "\r\n5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n5;\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n5;" A1000 "\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n5;" A1000 A200 "\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n5;a\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n5;a\rb\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n5;a\0\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n5 \r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n5 ;a\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n 5\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n+5\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n-5\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n0x5\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n5h\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\nzz\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n;a\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n5\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n5\rhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n5\r\nhello\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n5\r\nhello\r0\r\n\r\n", "400"),
    ROW(P TE "\r\n5\r\nhello0\r\n\r\n", "400"),
    ROW(P TE "\r\n5\r\nhello!\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n6\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n4\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n5\r\nhello\r\n0\n\r\n", "400"),
    ROW(P TE "\r\n5\r\nhello\r\n0\r\n\n", "POST x /a [hello]"),
    ROW(P TE "\r\n5\r\nhello\r\n0\r\n\rX", "POST x /a [hello]"),
    ROW(P TE "\r\n10000000000000005\r\nhello\r\n0\r\n\r\n", "400"), /* 2^64 + 5 */
    ROW(P TE "\r\n100000005\r\nhello", "400"),                      /* 2^32 + 5, not 5 */
    ROW(P TE "\r\nffffffffffffffff\r\nhello\r\n0\r\n\r\n", "400"),
    ROW(P TE "\r\n0000000000000005\r\nhello\r\n0\r\n\r\n", "POST x /a [hello]" THEN),
    ROW(P TE "\r\n5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n", "POST x /a [hello]"),
    ROW(P TE "\r\n5\r\nhello\r\n0\r\nContent-Length: 9\r\nHost: y\r\n\r\n", "POST x /a [hello]"),
    ROW(P TE "\r\n5\r\nhello\r\n0\r\nA: b\n\r\n", "POST x /a [hello]"),
    ROW(P TE "\r\n5\r\nhello\r\n0\r\n A: b\r\n\r\n", "POST x /a [hello]"),
    ROW(P TE "\r\n5\r\nhello\r\n0\r\nA b\r\n\r\n", "POST x /a [hello]"),
    ROW(P TE "\r\n5\r\nhello\r\n0\r\nA: b\0\r\n\r\n", "POST x /a [hello]"),
    ROW(P TE "\r\n5\r\nhello\r\n0\r\nA: " A16000 A1000 "\r\n\r\n", "POST x /a [hello]"),
    /* "0" that only looks like the end, and a request behind it */
    ROW(P TE "\r\n5\r\nhello\r\n0 \r\n\r\n", "400"),
    ROW(P TE "\r\n5\r\nhello\r\n0\r\n" NEXT, "POST x /a [hello]"),
};

/* ---- the server, and what it says ---- */

static struct http *server;

static void handler(void *arg, struct http_exchange *x) {
    struct buf body = {0}, out = {0};
    struct err e;
    (void)arg;
    if (strcmp(http_path(x), "/unread") != 0 && http_read_all(x, 100000, &body, &e) != ST_OK) {
        http_answer_text(x, e.code == ST_LIMIT ? 413 : 400, "text/plain", e.msg);
    } else {
        buf_printf(&out, "%s %s %s [", http_method(x), http_host(x), http_path(x));
        buf_add(&out, body.data, body.len);
        buf_str(&out, "]");
        http_answer(x, 200, "text/plain", out.data, out.len);
    }
    buf_free(&out);
    buf_free(&body);
}

static int setup(void **state) {
    (void)state;
    struct http_params p = {.host = "127.0.0.1", .handler = handler, .n_threads = 4};
    return http_open(&server, &p, NULL) == ST_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    http_close(server);
    return 0;
}

static int dial(void) { return http_dial(server, 10); }

/* Sends the pieces of `step` bytes; everything that comes back until the server closes. */
static void exchange(const struct buf *request, size_t step, struct buf *answers) {
    char part[4096];
    const int fd = dial();
    for (size_t at = 0; at < request->len; at += step) {
        const size_t n = request->len - at < step ? request->len - at : step;
        if (send(fd, request->data + at, n, MSG_NOSIGNAL) <= 0) break; /* refused already */
    }
    shutdown(fd, SHUT_WR);
    for (ssize_t k; (k = recv(fd, part, sizeof part, 0)) > 0;) buf_add(answers, part, (size_t)k);
    close(fd);
    buf_chr(answers, '\0');
}

/* Answers as the rows write them: bodies of 200, the status of others (and of HEAD). */
static char *summary(const char *at, bool head) {
    struct buf b = {0};
    for (bool first = true; strncmp(at, "HTTP/1.1 ", 9) == 0; first = false) {
        const char *length = strstr(at, "Content-Length: "), *body = strstr(at, "\r\n\r\n");
        assert_non_null(body);
        if (!first) buf_str(&b, "|");
        if (length == NULL) { /* the library's own answers end with the connection */
            buf_add(&b, at + 9, 3);
            return buf_take(&b);
        }
        const size_t n = head && first ? 0 : strtoul(length + 16, NULL, 10);
        if (strncmp(at + 9, "200", 3) == 0 && n > 0)
            buf_add(&b, body + 4, n);
        else
            buf_add(&b, at + 9, 3);
        at = body + 4 + n;
    }
    assert_string_equal(at, "");
    return buf_take(&b);
}

static void check_row(const struct row *r, size_t step) {
    struct buf request = {0}, answers = {0};
    buf_add(&request, r->request, r->n);
    buf_str(&request, NEXT);
    exchange(&request, step, &answers);
    char *got = summary(answers.data, strncmp(r->request, "HEAD", 4) == 0);
    if (strcmp(got, r->answer) != 0)
        print_error("request:\n%.300s\nwanted: %.300s\ngot:    %.300s\n", r->request, r->answer,
                    got);
    assert_string_equal(got, r->answer);
    mem_free(got);
    buf_free(&request);
    buf_free(&answers);
}

#define TABLE(name)                                                                                \
    { name, sizeof name / sizeof *name }
static const struct {
    const struct row *row;
    size_t n;
} table[] = {TABLE(methods_and_targets),
             TABLE(versions),
             TABLE(hosts),
             TABLE(lines),
             TABLE(lengths),
             TABLE(codings),
             TABLE(chunks)};

static void check_all(size_t step, size_t longest) {
    for (size_t t = 0; t < sizeof table / sizeof *table; t++)
        for (size_t i = 0; i < table[t].n; i++)
            if (table[t].row[i].n <= longest) check_row(&table[t].row[i], step);
}

static void test_sec_S_NET_10_smuggling(void **state) {
    (void)state;
    check_all(1 << 20, SIZE_MAX);
}

/* The same bytes, one at a time: nothing depends on how they are cut on the way. */
static void test_sec_S_NET_10_smuggling_byte_by_byte(void **state) {
    (void)state;
    check_all(1, 300);
}

/* Many requests at once get their answers in order. */
static void test_sec_S_NET_10_pipelining(void **state) {
    (void)state;
    enum { N = 300 };
    struct buf request = {0}, answers = {0}, wanted = {0};
    for (int i = 0; i < N; i++) {
        if (i % 3 == 0)
            buf_printf(&request, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i);
        else if (i % 3 == 1)
            buf_printf(&request, "POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", i);
        else
            buf_printf(&request, "PUT /%d HTTP/1.1\r\nHost: x\r\n" TE "\r\n3\r\nabc\r\n0\r\n\r\n",
                       i);
        buf_printf(&wanted, "%s x /%d [%s]|",
                   i % 3 == 0   ? "GET"
                   : i % 3 == 1 ? "POST"
                                : "PUT",
                   i, i % 3 == 0 ? "" : "abc");
    }
    buf_str(&request, NEXT);
    buf_str(&wanted, &THEN[1]); /* without the bar */
    exchange(&request, 1 << 20, &answers);
    char *got = summary(answers.data, false);
    assert_string_equal(got, wanted.data);
    mem_free(got);
    buf_free(&request);
    buf_free(&answers);
    buf_free(&wanted);
}

/* A target that names this server: its authority is the host, whatever the header says. */
static void test_sec_S_NET_2_absolute_target(void **state) {
    (void)state;
    static const char *const row[][2] = {
        {"GET http://127.0.0.1:%d/a?q HTTP/1.1\r\nHost: x\r\n\r\n", "GET 127.0.0.1:%d /a []" THEN},
        {"GET HTTP://y:%d/a HTTP/1.1\r\nHost: x\r\n\r\n", "GET y:%d /a []" THEN},
        {"GET http://y:%d/a HTTP/1.0\r\n\r\n", "GET y:%d /a []"},
        {"GET http://y:%d/a HTTP/1.1\r\n\r\n", "400"},
        {"GET http://u@y:%d/a HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"GET http://y\\z:%d/a HTTP/1.1\r\nHost: x\r\n\r\n", "400"}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        char request[200], wanted[200];
        snprintf(request, sizeof request, row[i][0], http_port(server));
        snprintf(wanted, sizeof wanted, row[i][1], http_port(server));
        check_row(&(struct row){request, strlen(request), wanted}, 1 << 20);
    }
}

/* What the library would drop behind its 64th header is never missed: the request is refused. */
static void test_sec_S_NET_7_many_headers(void **state) {
    (void)state;
    for (int n = 63; n <= 200; n += n == 63 ? 1 : 136) {
        struct buf request = {0}, answers = {0};
        buf_str(&request, "POST /a HTTP/1.1\r\n");
        for (int i = 2; i < n; i++) buf_printf(&request, "X-%d: y\r\n", i);
        buf_str(&request, "Host: x\r\nContent-Length: 5\r\n\r\nhello" NEXT);
        exchange(&request, 1 << 20, &answers);
        char *got = summary(answers.data, false);
        assert_string_equal(got, n == 63 ? "POST x /a [hello]" THEN : "431");
        mem_free(got);
        buf_free(&request);
        buf_free(&answers);
    }
}

int main(void) {
    size_t n = 0;
    for (size_t t = 0; t < sizeof table / sizeof *table; t++) n += table[t].n;
    printf("%zu requests\n", n);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sec_S_NET_10_smuggling),
        cmocka_unit_test(test_sec_S_NET_10_smuggling_byte_by_byte),
        cmocka_unit_test(test_sec_S_NET_10_pipelining),
        cmocka_unit_test(test_sec_S_NET_2_absolute_target),
        cmocka_unit_test(test_sec_S_NET_7_many_headers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
