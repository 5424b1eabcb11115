/* certificate: an authority of the test's own, and a server's certificate that it has signed. */
#ifndef REPL_TEST_CERTIFICATE_H
#define REPL_TEST_CERTIFICATE_H

#include <openssl/ssl.h>

struct certificate {
    EVP_PKEY *key;
    X509 *cert;
    char ca_file[64]; /* PEM of the authority, gone with certificate_done() */
};

/* names: subjectAltName as OpenSSL writes it, "DNS:localhost,IP:127.0.0.1"; days: from now until it
 * expires, may be negative. */
void certificate_init(struct certificate *c, const char *names, int days);
void certificate_done(struct certificate *c);

#endif
