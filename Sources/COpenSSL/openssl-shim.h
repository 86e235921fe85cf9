// The part of OpenSSL's libcrypto that Rialto uses: digests and Ed25519 keys.
#pragma once
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
