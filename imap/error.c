#include "imap/reply.h"

GQuark imap_error_quark(void)
{
    return g_quark_from_static_string("imap-error");
}

/* Response codes that say more than NO (RFC 9051, 7.1; RFC 5530; RFC 7889; RFC 9738). */
static const struct code_map {
    const char *code;
    enum imap_error error;
} CODES[] = {
    {"ALREADYEXISTS", IMAP_ERROR_EXISTS},
    {"APPENDLIMIT", IMAP_ERROR_TOOBIG},
    {"AUTHENTICATIONFAILED", IMAP_ERROR_LOGIN},
    {"AUTHORIZATIONFAILED", IMAP_ERROR_LOGIN},
    {"CANNOT", IMAP_ERROR_CANNOT},
    {"EXPIRED", IMAP_ERROR_LOGIN},
    {"INUSE", IMAP_ERROR_UNAVAILABLE},
    {"LIMIT", IMAP_ERROR_UNAVAILABLE},
    {"NONEXISTENT", IMAP_ERROR_NONEXISTENT},
    {"NOPERM", IMAP_ERROR_NOPERM},
    {"ACL", IMAP_ERROR_NOPERM},
    {"OVERQUOTA", IMAP_ERROR_OVERQUOTA},
    {"QUOTA", IMAP_ERROR_OVERQUOTA},
    {"READ-ONLY", IMAP_ERROR_NOPERM},
    {"SERVERBUG", IMAP_ERROR_UNAVAILABLE},
    {"THROTTLED", IMAP_ERROR_UNAVAILABLE},
    {"TOOBIG", IMAP_ERROR_TOOBIG},
    {"TRYCREATE", IMAP_ERROR_NONEXISTENT},
    {"UNAVAILABLE", IMAP_ERROR_UNAVAILABLE},
};

static const enum imap_error CONDITIONS[] = {
    [IMAP_COND_OK] = IMAP_OK,
    [IMAP_COND_PREAUTH] = IMAP_OK,
    [IMAP_COND_NO] = IMAP_ERROR_NO,
    [IMAP_COND_BAD] = IMAP_ERROR_BAD,
    [IMAP_COND_BYE] = IMAP_ERROR_UNAVAILABLE,
};

enum imap_error imap_error_of_code(enum imap_condition condition, const char *code)
{
    if (code == NULL || (condition != IMAP_COND_NO && condition != IMAP_COND_BAD))
        return CONDITIONS[condition];
    for (size_t i = 0; i < G_N_ELEMENTS(CODES); i++)
        if (g_ascii_strcasecmp(CODES[i].code, code) == 0)
            return CODES[i].error;
    return CONDITIONS[condition];
}
