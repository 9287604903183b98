/* The system's certificate authorities. Private to imap/. */
#pragma once

#include <stdbool.h>

/* Whether OpenSSL finds any where it looks for them, SSL_CERT_FILE and SSL_CERT_DIR included
 * (openssl-env(7)). */
bool imap_authorities_any(void);
