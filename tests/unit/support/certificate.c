#include "tests/unit/support/certificate.h"

#include <assert.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAY_S (24L * 3600)

static X509 *make(EVP_PKEY *key, const char *name, int days)
{
    X509 *cert = X509_new();
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1 + days % 100 + 100);
    X509_gmtime_adj(X509_getm_notBefore(cert), -10 * DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(cert), days * DAY_S);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_pubkey(cert, key);
    return cert;
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert(e != NULL);
    X509_add_ext(cert, e, -1);
    X509_EXTENSION_free(e);
}

static void write_pem(struct certificate *c, X509 *ca)
{
    strcpy(c->ca_file, "/tmp/repl-test-ca-XXXXXX");
    FILE *file = fdopen(mkstemp(c->ca_file), "w");
    assert(file != NULL);
    PEM_write_X509(file, ca);
    fclose(file);
}

void certificate_init(struct certificate *c, const char *names, int days)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256");
    X509 *ca = make(ca_key, "repl test CA", 30);
    X509_set_issuer_name(ca, X509_get_subject_name(ca));
    add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE");
    X509_sign(ca, ca_key, EVP_sha256());
    c->key = EVP_EC_gen("P-256");
    c->cert = make(c->key, "repl test", days);
    X509_set_issuer_name(c->cert, X509_get_subject_name(ca));
    add_extension(c->cert, ca, NID_subject_alt_name, names);
    X509_sign(c->cert, ca_key, EVP_sha256());
    write_pem(c, ca);
    X509_free(ca);
    EVP_PKEY_free(ca_key);
}

void certificate_done(struct certificate *c)
{
    unlink(c->ca_file);
    X509_free(c->cert);
    EVP_PKEY_free(c->key);
}
