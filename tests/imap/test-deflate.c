/* COMPRESS=DEFLATE: the data alone, and a whole conversation in it. */
#include "imap/deflate.h"

#include "client.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define HELLO "S:* PREAUTH [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] ready"
#define COMPRESSED HELLO, "C:COMPRESS DEFLATE", "S:$1 OK now", "Z:"

/* ---- data -------------------------------------------------------------------------------------
 */

/* Feeds all of `packed` and reads it through a buffer of `size`; the result of the last read. */
static ssize_t inflate_all(struct imap_deflate *deflate, const GByteArray *packed, size_t size,
                           uint64_t *total, GString *plain)
{
    g_autofree char *buffer = g_malloc(size);
    guint at = 0;

    *total = 0;
    for (;;) {
        ssize_t n = imap_deflate_read(deflate, buffer, size);
        if (n > 0) {
            *total += (uint64_t)n;
            if (plain)
                g_string_append_len(plain, buffer, n);
            continue;
        }
        if (n < 0 || at == packed->len)
            return n;
        size_t room;
        void *raw = imap_deflate_room(deflate, &room);
        g_assert_cmpuint(room, >, 0);
        room = MIN(room, packed->len - at);
        memcpy(raw, packed->data + at, room);
        at += (guint)room;
        imap_deflate_received(deflate, room);
    }
}

static void test_round_trip(void)
{
    static const size_t SIZES[] = {1, 7, 4096, 100000};

    for (size_t i = 0; i < G_N_ELEMENTS(SIZES); i++) {
        struct imap_deflate *deflate = imap_deflate_new(0);
        g_autoptr(GByteArray) packed = g_byte_array_new();
        g_autoptr(GString) sent = g_string_new(NULL);
        g_autoptr(GString) plain = g_string_new(NULL);
        uint64_t total;
        for (guint32 n = 0; n < 3000; n++) {
            g_autofree char *line = g_strdup_printf("%u %u\r\n", n, n * 2654435761U);
            g_string_append(sent, line);
            imap_deflate_write(deflate, line, strlen(line), packed);
        }
        g_assert_cmpint(inflate_all(deflate, packed, SIZES[i], &total, plain), ==, 0);
        g_assert_cmpstr(plain->str, ==, sent->str);
        g_assert_false(imap_deflate_pending(deflate));
        imap_deflate_free(deflate);
    }
}

/* Each piece can be read as soon as it was written, and is smaller. */
static void test_at_once(void)
{
    struct imap_deflate *deflate = imap_deflate_new(0);
    g_autofree char *text = g_strnfill(200000, 'x');
    uint64_t total;

    for (int i = 0; i < 3; i++) {
        g_autoptr(GByteArray) packed = g_byte_array_new();
        imap_deflate_write(deflate, text, 200000, packed);
        g_assert_cmpuint(packed->len, <, 1000);
        inflate_all(deflate, packed, 1000, &total, NULL);
        g_assert_cmpuint(total, ==, 200000);
    }
    imap_deflate_free(deflate);
}

static GByteArray *zeros(size_t size)
{
    struct imap_deflate *deflate = imap_deflate_new(0);
    GByteArray *packed = g_byte_array_new();
    g_autofree char *block = g_malloc0(1 << 20);

    for (size_t at = 0; at < size; at += 1 << 20)
        imap_deflate_write(deflate, block, 1 << 20, packed);
    imap_deflate_free(deflate);
    return packed;
}

/* A thousand to one is too much in the long run, but not for a while. */
static void test_bomb(void)
{
    g_autoptr(GByteArray) packed = zeros(64 << 20);
    struct imap_deflate *strict = imap_deflate_new(1 << 20), *usual = imap_deflate_new(0);
    uint64_t total;

    g_assert_cmpint(inflate_all(strict, packed, 65536, &total, NULL), ==, -1);
    g_assert_cmpstr(imap_deflate_reason(strict), ==,
                    "the server's compressed data inflate to too much");
    g_assert_cmpuint(total, <, packed->len * 256 + (8 << 20));
    g_assert_cmpint(inflate_all(usual, packed, 65536, &total, NULL), ==, 0);
    g_assert_cmpuint(total, ==, 64 << 20);
    imap_deflate_free(strict);
    imap_deflate_free(usual);
}

static const struct {
    const char *name, *bytes;
    size_t length;
    ssize_t last;
    const char *reason;
} DAMAGED[] = {
    {"plain text", "* OK hello\r\n", 12, -1, "the server's compressed data are damaged"},
    {"a block of no kind", "\x07", 1, -1, "the server's compressed data are damaged"},
    {"a stored block with a wrong length", "\x00\x05\x00\x00\x00", 5, -1,
     "the server's compressed data are damaged"},
    {"the end", "\x03\x00", 2, -1, "the server ended the compression"},
    {"half a block", "\x00\x05\x00\xfa\xff\x61", 6, 0, NULL},
    {"nothing", "\x00\x00\x00\xff\xff\x00\x00\x00\xff\xff", 10, 0, NULL},
};

static void test_damaged(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(DAMAGED); i++) {
        struct imap_deflate *deflate = imap_deflate_new(0);
        g_autoptr(GByteArray) packed = g_byte_array_new();
        uint64_t total;
        g_test_message("%s", DAMAGED[i].name);
        g_byte_array_append(packed, (const guint8 *)DAMAGED[i].bytes, (guint)DAMAGED[i].length);
        g_assert_cmpint(inflate_all(deflate, packed, 100, &total, NULL), ==, DAMAGED[i].last);
        g_assert_cmpstr(imap_deflate_reason(deflate), ==, DAMAGED[i].reason);
        g_assert_cmpint(imap_deflate_pending(deflate), ==, DAMAGED[i].reason != NULL);
        imap_deflate_free(deflate);
    }
}

/* ---- conversations ----------------------------------------------------------------------------
 */

/* Data that come packed, in the same write as the OK too; all is readable in the transcript, and
 * what is counted is what passed. */
static void test_conversation(void)
{
    g_autofree char *text = g_strnfill(50000, 'x');
    g_autofree char *body =
        g_strdup_printf("S:* 1 FETCH (UID 4 BODY[] {50000}\r\n%s)\r\n$$ OK f", text);
    const char *steps[] = {COMPRESSED,
                           "S:* OK [ALERT] packed",
                           "C:EXAMINE INBOX",
                           "S:* 1 EXISTS\r\n$$ OK e",
                           "C:UID FETCH 4 (UID BODY.PEEK[])",
                           body,
                           "C:LOGOUT",
                           NULL};
    struct imap_fetch_request request = {.section = ""};
    g_autoptr(imap_uidset) uids = imap_uidset_parse("4", 1);
    struct client client;

    client_init(&client, steps, NULL);
    client_open(&client);
    client_until(&client, "alert packed");
    g_assert_true(imap_session_compressed(client.session));
    imap_send_examine(client.session, "INBOX", client_done, client_note(&client, "examine"));
    imap_send_uid_fetch(client.session, uids, &request, client_done, client_note(&client, "fetch"));
    client_until(&client, "fetch ok");
    g_assert_nonnull(strstr(client.log->str, text));
    g_assert_nonnull(strstr(client.transcript->str, "UID FETCH 4 (UID BODY.PEEK[])\n"));
    g_assert_nonnull(strstr(client.transcript->str, "< * 1 FETCH (UID 4 BODY[] {50000 bytes}"));
    g_assert_cmpuint(imap_session_bytes_in(client.session), <, 2000);
    g_assert_cmpuint(imap_session_bytes_in(client.session), ==, script_sent(client.script));
    client_end(&client, true);
}

static void test_switched_off(void)
{
    static const char *const steps[] = {HELLO, "C:NOOP", "S:$$ OK n", NULL};
    struct client client;

    client_init(&client, steps, NULL);
    client.server.no_compression = true;
    client_open(&client);
    imap_send_noop(client.session, client_done, client_note(&client, "noop"));
    client_until(&client, "noop");
    g_assert_false(imap_session_compressed(client.session));
    client_end(&client, true);
}

/* Damaged data end the connection like a cut does: who waits is told once, and why. */
static void test_session_damaged(void)
{
    static const char *const ENDS[] = {"R:\x07", "R:* OK hello\r\n", "R:\x03\x01"};

    for (size_t i = 0; i < G_N_ELEMENTS(ENDS); i++) {
        const char *steps[] = {COMPRESSED, "C:NOOP", ENDS[i], NULL};
        struct client client;
        g_test_message("%s", ENDS[i]);
        client_init(&client, steps, NULL);
        client_open(&client);
        imap_send_noop(client.session, client_done, client_note(&client, "noop"));
        client_until(&client, "closed lost the server");
        g_assert_true(g_str_has_prefix(client.log->str, "noop lost the server"));
        client_end(&client, true);
    }
}

/* Cut after every byte on the wire, before compression and within. */
static void test_cut(void)
{
    static const char *const steps[] = {
        COMPRESSED, "C:EXAMINE INBOX",         "S:* 1 EXISTS\r\n$$ OK e",
        "C:NOOP",   "S:* OK hello\r\n$$ OK n", "X:",
        NULL};
    bool whole = false;

    for (int cut = 0; !whole; cut++) {
        struct client client;
        client_init_cut(&client, steps, cut);
        client_open(&client);
        if (!client.error) {
            imap_send_examine(client.session, "INBOX", client_done, client_note(&client, "e"));
            imap_send_noop(client.session, client_done, client_note(&client, "noop"));
            client_until(&client, "closed lost");
            whole = strstr(client.log->str, "noop ok") != NULL;
            g_assert_true(whole || strstr(client.log->str, "noop lost"));
        } else {
            g_assert_error(client.error, IMAP_ERROR, IMAP_ERROR_LOST);
        }
        client_end(&client, false);
        g_assert_cmpint(cut, <, 1000);
    }
}

/* A message goes up packed, more than the socket holds; it is out when all of it was written. */
static void test_append(void)
{
    enum { SIZE = 4 * 1000 * 1000 };
    static const char *const steps[] = {COMPRESSED, "C:APPEND Sent () *", "S:+ go on", "N:4000000",
                                        "L:",       "S:$$ OK a",          NULL};
    g_autofree char *octets = g_malloc(SIZE);
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("imap-deflate-XXXXXX", &path, NULL);
    struct client client;

    for (size_t i = 0; i < SIZE; i++)
        octets[i] = script_octet(i);
    g_assert_true(g_file_set_contents(path, octets, SIZE, NULL));
    close(fd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(unlink(path), ==, 0);
    struct imap_append append = {.mailbox = "Sent", .flags = "", .descriptor = fd, .size = SIZE};
    client_init(&client, steps, NULL);
    client_open(&client);
    imap_send_append(client.session, &append, client_done, client_note(&client, "append"));
    client_until(&client, "append");
    g_assert_cmpstr(client.log->str, ==, "append ok a (out)\n");
    g_assert_cmpuint(imap_session_bytes_out(client.session), <, SIZE / 4);
    client_end(&client, true);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/imap/deflate/round-trip", test_round_trip);
    g_test_add_func("/imap/deflate/at-once", test_at_once);
    g_test_add_func("/imap/deflate/bomb", test_bomb);
    g_test_add_func("/imap/deflate/damaged", test_damaged);
    g_test_add_func("/imap/deflate/conversation", test_conversation);
    g_test_add_func("/imap/deflate/switched-off", test_switched_off);
    g_test_add_func("/imap/deflate/session-damaged", test_session_damaged);
    g_test_add_func("/imap/deflate/cut", test_cut);
    g_test_add_func("/imap/deflate/append", test_append);
    return g_test_run();
}
