/* The command: reads what is wanted, checks it, and hands it to the worker. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/autoconfig.h"
#include "fs/check-command.h"
#include "fs/command.h"
#include "fs/config.h"
#include "fs/engine/advice.h"
#include "fs/engine/ticket.h"
#include "fs/interrupt.h"
#include "fs/list-command.h"
#include "fs/log.h"
#include "fs/mount.h"
#include "fs/mounter.h"
#include "fs/mountpoint.h"
#include "fs/prefetch-command.h"
#include "fs/retry-command.h"
#include "fs/secret.h"
#include "fs/source.h"
#include "fs/supervisor.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif

/* From the signal that asks for the end to the one that enforces it. */
enum { PATIENCE_MS = 10 * 1000 };

/* For malloc(): bytes from which on a block is mapped by itself; shares of the heap. */
enum { BIG_BLOCK = 256 * 1024, ARENAS = 2 };

enum exit_status {
    EXIT_USAGE = 1,
    EXIT_CONFIG = 2,
    EXIT_NETWORK = 3,
    EXIT_LOGIN = 4,
    EXIT_MOUNT = 5,
    EXIT_HELPER = 32,      /* mount(8): mount failure */
    EXIT_INTERRUPTED = 130 /* as a shell has it */
};

/* All that is known before the processes part. */
struct program {
    struct command command;
    GPtrArray *accounts; /* struct account, NULL-terminated */
    GPtrArray *left_out; /* struct left_out: what else was meant */
    bool several;
    char *mountpoint;
    char *own, *made; /* a mount point that nobody named, as it was made; see mountpoint_make() */
};

static void program_clear(struct program *program)
{
    command_clear(&program->command);
    g_clear_pointer(&program->accounts, g_ptr_array_unref);
    g_clear_pointer(&program->left_out, g_ptr_array_unref);
    g_clear_pointer(&program->mountpoint, g_free);
    g_clear_pointer(&program->own, g_free);
    g_clear_pointer(&program->made, g_free);
}
typedef struct program program;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(program, program_clear)

static int program_fail(int status, const char *message)
{
    log_end(message);
    return status;
}

/* ---- who and where -------------------------------------------------------------------------- */

/* HOME as inherited through su or mount(8) may be another user's or missing; then the password
 * database says where home is, to the commands that are run too. */
static void home_repair(void)
{
    const struct passwd *me = getpwuid(geteuid());
    const char *home = getenv("HOME");

    if (home != NULL && *home == '/' && access(home, X_OK) == 0)
        return;
    unsetenv("HOME");
    if (me != NULL)
        setenv("HOME", me->pw_dir, 1);
}

static void environment_enter(const struct passwd *user)
{
    static const char *const FOLDERS[] = {"XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME",
                                          "XDG_DATA_HOME", "XDG_RUNTIME_DIR"};

    for (size_t i = 0; i < G_N_ELEMENTS(FOLDERS); i++)
        unsetenv(FOLDERS[i]);
    setenv("HOME", user->pw_dir, 1);
    setenv("USER", user->pw_name, 1);
    setenv("LOGNAME", user->pw_name, 1);
}

/* Root's setuid= and uid=: becomes that user for good. NULL, or what went wrong. */
static const char *privileges_drop(const struct command *command)
{
    if (!command->has_run_as || command->run_as == geteuid())
        return NULL;
    if (geteuid() != 0)
        return command->has_setuid ? "setuid= is for root: nobody else can become another user"
                                   : NULL;
    const struct passwd *user = getpwuid(command->run_as);
    if (user == NULL)
        return "the user of setuid= or uid= does not exist";
    environment_enter(user);
    if (command->mountpoint != NULL)
        mounter_start(command->mountpoint, user, command->fuse);
    if (initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0)
        return "cannot become the user of setuid= or uid=";
    return NULL;
}

/* mount -N: a path, or the process whose namespace it is. */
static const char *namespace_enter(const char *namespace)
{
    if (namespace == NULL)
        return NULL;
    g_autofree char *of_process = g_strdup_printf("/proc/%s/ns/mnt", namespace);
    int fd = open(g_ascii_isdigit(*namespace) ? of_process : namespace, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return "the namespace of -N cannot be opened";
    int rc = setns(fd, CLONE_NEWNS);
    close(fd);
    return rc == 0 ? NULL : "the namespace of -N cannot be entered";
}

static int identity_take(const struct command *command)
{
    const char *wrong = namespace_enter(command->namespace);

    if (wrong == NULL)
        wrong = privileges_drop(command);
    if (wrong != NULL)
        return program_fail(EXIT_USAGE, wrong);
    home_repair();
    return 0;
}

/* ---- checks --------------------------------------------------------------------------------- */

/* NULL, or why this folder cannot serve. */
static const char *folder_check(const char *folder, const char *mountpoint)
{
    if (path_is_below(folder, mountpoint))
        return "lies below the mount point: set another, or mount elsewhere";
    if (path_is_below(mountpoint, folder))
        return "holds the mount point: mount elsewhere";
    if (path_is_remote(folder))
        return "is on a network filesystem: set it to a local folder";
    return NULL;
}

static int folders_check(const struct program *program)
{
    g_autofree char *standard = config_default_file();
    const char *config = program->command.config != NULL ? program->command.config : standard;

    for (guint i = 0; i < program->accounts->len; i++) {
        const struct account *account = g_ptr_array_index(program->accounts, i);
        const char *const FOLDERS[][2] = {{"cache_dir", account->cache_dir},
                                          {"state_dir", account->state_dir}};
        for (size_t k = 0; k < G_N_ELEMENTS(FOLDERS); k++) {
            const char *wrong = folder_check(FOLDERS[k][1], program->mountpoint);
            if (wrong == NULL)
                continue;
            g_autofree char *message =
                g_strdup_printf("%s=%s %s", FOLDERS[k][0], FOLDERS[k][1], wrong);
            return program_fail(EXIT_CONFIG, message);
        }
    }
    if (path_is_below(config, program->mountpoint))
        return program_fail(EXIT_CONFIG, "the configuration lies below the mount point");
    return 0;
}

/* Where it is to be mounted; if the command line does not say, the folder is made. NULL with
 * `error` set. */
static char *mountpoint_find(struct program *program, GError **error)
{
    const struct account *first = g_ptr_array_index(program->accounts, 0);
    bool alone = !program->several;

    if (program->command.mountpoint != NULL)
        return g_strdup(program->command.mountpoint);
    program->own =
        alone && first->mountpoint != NULL
            ? g_strdup(first->mountpoint)
            : g_build_filename(g_get_home_dir(), "Mail", alone ? first->name : NULL, NULL);
    return mountpoint_make(program->own, &program->made, error) ? g_strdup(program->own) : NULL;
}

/* 0, or the exit status after a message. */
static int program_prepare(struct program *program)
{
    const struct command *command = &program->command;
    g_autoptr(GError) error = NULL;

    int status = identity_take(command);
    if (status != 0)
        return status;
    g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(config_fault_free);
    program->left_out = left_out_new();
    program->accounts = config_accounts(command->source, command->config, command->settings,
                                        &program->several, faults, &error);
    for (guint i = 0; i < faults->len; i++) {
        const struct config_fault *fault = faults->pdata[i];
        left_out_add(program->left_out, fault->name, fault->why, MOUNT_CONFIG);
    }
    if (program->accounts == NULL)
        return program_fail(error->domain == G_OPTION_ERROR ? EXIT_USAGE : EXIT_CONFIG,
                            error->message);
    g_autofree char *mountpoint = mountpoint_find(program, &error);
    if (mountpoint != NULL)
        program->mountpoint = mountpoint_check(mountpoint, command->nonempty, &error);
    if (program->mountpoint == NULL)
        return program_fail(EXIT_MOUNT, error->message);
    return folders_check(program);
}

/* ---- the worker ----------------------------------------------------------------------------- */

static void signal_stop(int number)
{
    mount_stop();
}

static void signals_install(void)
{
    /* No SA_RESTART: the prompt for a password ends too. */
    struct sigaction stop = {.sa_handler = signal_stop};

    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGHUP, &stop, NULL);
}

static void process_harden(bool debug)
{
    struct rlimit none = {0, 0}, files;

    umask(077);
    setrlimit(RLIMIT_CORE, &none);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
#ifndef SANITIZED /* the leak checker traces the process */
    if (!debug)
        prctl(PR_SET_DUMPABLE, 0);
#endif
}

/* What is big goes back to the system when it is freed. glibc would learn from the first bodies to
 * keep blocks of up to 32 MiB for later, in an arena for nearly each thread: of those memory grows
 * for as long as mail is read, though none is lost. */
static void memory_bound(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, BIG_BLOCK);
    mallopt(M_TRIM_THRESHOLD, BIG_BLOCK);
    mallopt(M_ARENA_MAX, ARENAS);
#endif
}

static bool ticket_will_do(const struct account *account, bool transcript, GError **error)
{
    g_autoptr(interrupt) interrupt = interrupt_new();
    GCancellable *cancel = interrupt_cancel(interrupt);

    bool will = engine_ticket(account, transcript, cancel);
    return !g_cancellable_set_error_if_cancelled(cancel, error) && will;
}

/* Nobody need type a password for a server that is not there; of several accounts, that one may be
 * there later. */
static bool is_worth_asking(const struct program *program, const struct account *account,
                            GError **error)
{
    g_autoptr(interrupt) interrupt = interrupt_new();

    return program->several || engine_is_worth_asking(account, interrupt_cancel(interrupt), error);
}

/* Who has no secret at hand and a Kerberos ticket that will do is not asked. True with NULL: so it
 * is. */
static bool secret_get(const struct program *program, const struct account *account,
                       struct secret **secret, GError **error)
{
    g_autoptr(GError) none = NULL;
    bool without = false;

    *secret = secret_ask(account, false, NULL, &none);
    if (g_error_matches(none, G_IO_ERROR, G_IO_ERROR_NOT_FOUND)) {
        g_clear_error(&none);
        without = ticket_will_do(account, program->command.debug, &none);
        if (!without && none == NULL && is_worth_asking(program, account, &none))
            *secret = secret_ask(account, true, NULL, &none);
    }
    if (none != NULL)
        g_propagate_error(error, g_steal_pointer(&none));
    return without || *secret != NULL;
}

/* One for each account that needs one and has no command for it, with the terminal still there. One
 * of several may lack it: its engine asks again, and says why there is none. */
static bool secrets_ask(const struct program *program, struct secret **secrets, GError **error)
{
    for (guint i = 0; i < program->accounts->len; i++) {
        const struct account *account = g_ptr_array_index(program->accounts, i);
        if (account->password_command != NULL || account->token_command != NULL ||
            !account_needs_password(account))
            continue;
        g_autoptr(GError) why = NULL;
        bool got = secret_get(program, account, &secrets[i], &why);
        bool given_up = g_error_matches(why, G_IO_ERROR, G_IO_ERROR_CANCELLED);
        if (got || (program->several && !given_up))
            continue;
        g_propagate_error(error, g_steal_pointer(&why));
        return false;
    }
    return true;
}

static int mount_status(enum mount_error error)
{
    static const int STATUS[] = {[MOUNT_OK] = 0,
                                 [MOUNT_CONFIG] = EXIT_CONFIG,
                                 [MOUNT_NETWORK] = EXIT_NETWORK,
                                 [MOUNT_SECRET] = EXIT_NETWORK,
                                 [MOUNT_TLS] = EXIT_NETWORK,
                                 [MOUNT_LOGIN] = EXIT_LOGIN,
                                 [MOUNT_CACHE] = EXIT_MOUNT,
                                 [MOUNT_FUSE] = EXIT_MOUNT};
    return (size_t)error < G_N_ELEMENTS(STATUS) ? STATUS[error] : EXIT_MOUNT;
}

static void worker_ready(dev_t device, enum mount_error failed, void *data)
{
    const struct program *program = data;

    if (!program->command.foreground)
        log_open(true, G_LOG_LEVEL_MESSAGE);
    supervisor_ready(device, mount_status(failed));
}

/* What mountinfo shows: public, so made of the checked parts. */
static const char *source_shown(const struct program *program)
{
    const struct account *first = g_ptr_array_index(program->accounts, 0);

    return source_is_url(program->command.source) ? first->source : program->command.source;
}

static bool all_read_only(const struct program *program)
{
    for (guint i = 0; i < program->accounts->len; i++)
        if (!((const struct account *)g_ptr_array_index(program->accounts, i))->read_only)
            return false;
    return true;
}

static int worker_mount(struct program *program, struct secret **secrets, bool anew)
{
    g_auto(GStrv) options =
        command_fuse_options(&program->command, source_shown(program), all_read_only(program));
    g_autoptr(GError) error = NULL;
    const struct mount_config config = {
        .accounts = (struct account **)program->accounts->pdata,
        .secrets = secrets,
        .several = program->several,
        .mountpoint = program->mountpoint,
        .fuse_options = options,
        .left_out = program->left_out,
        .transcript = program->command.debug,
        .begin_anew = anew,
        .ready = worker_ready,
        .data = program,
    };

    enum mount_error failure = mount_run(&config, &error);
    if (failure != MOUNT_OK)
        return program_fail(mount_status(failure), error != NULL ? error->message : "cannot mount");
    return 0;
}

static int autoconfig_status(const GError *error)
{
    static const int STATUS[] = {[AUTOCONFIG_NOTHING] = EXIT_CONFIG,
                                 [AUTOCONFIG_UNSURE] = EXIT_CONFIG,
                                 [AUTOCONFIG_UNUSABLE] = EXIT_CONFIG,
                                 [AUTOCONFIG_NETWORK] = EXIT_NETWORK,
                                 [AUTOCONFIG_CANCELLED] = EXIT_INTERRUPTED};
    return STATUS[error->code];
}

/* What was found is told if it is new: it is where the password goes. */
static bool account_locate(struct account *account, GCancellable *cancel, GError **error)
{
    g_autofree char *found = NULL;
    bool anew;

    if (!autoconfig_find(account, cancel, &found, &anew, error))
        return false;
    if (anew)
        g_warning("%s", found);
    else
        g_message("%s", found);
    return true;
}

/* Where accounts are that are only known by an address; of several, one that cannot be found is
 * left out. 0, or the exit status after a message. */
static int accounts_locate(struct program *program)
{
    GPtrArray *accounts = program->accounts;
    g_autoptr(interrupt) interrupt = interrupt_new();
    GCancellable *cancel = interrupt_cancel(interrupt);
    int status = 0;

    for (guint i = 0; i < accounts->len;) {
        struct account *account = g_ptr_array_index(accounts, i);
        g_autoptr(GError) error = NULL;
        if (account->address == NULL || account_locate(account, cancel, &error)) {
            i++;
            continue;
        }
        status = autoconfig_status(error);
        if (!program->several || g_cancellable_is_cancelled(cancel))
            return program_fail(status, error->message);
        left_out_add(program->left_out, account->name, error->message,
                     status == EXIT_NETWORK ? MOUNT_NETWORK : MOUNT_CONFIG);
        g_ptr_array_remove_index(accounts, i);
    }
    return accounts->len > 0 ? 0 : program_fail(status, "no account is left");
}

static int secrets_fail(const GError *error)
{
    bool unreachable = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_HOST_UNREACHABLE);

    return program_fail(unreachable ? EXIT_NETWORK : EXIT_LOGIN, error->message);
}

static int worker_main(bool again, void *data)
{
    struct program *program = data;
    g_autofree struct secret **secrets = g_new0(struct secret *, program->accounts->len + 1);
    g_autoptr(GError) error = NULL;

    process_harden(program->command.debug);
    memory_bound();
    signals_install();
    int status = accounts_locate(program);
    if (status != 0)
        return status;
    status = secrets_ask(program, secrets, &error) ? worker_mount(program, secrets, again)
                                                   : secrets_fail(error);
    for (guint i = 0; i < program->accounts->len; i++)
        secret_unref(secrets[i]);
    return status;
}

/* ---- start ---------------------------------------------------------------------------------- */

static int program_print(const struct command *command)
{
    g_autofree char *help = command_help();

    fputs(command->version ? "mailmount " MAILMOUNT_VERSION "\n" : help, stdout);
    return fflush(stdout) == 0 ? 0 : EXIT_USAGE;
}

static int program_prefetch(const struct command *command)
{
    static const int STATUS[] = {[PREFETCH_OK] = 0,
                                 [PREFETCH_NO_FOLDER] = EXIT_USAGE,
                                 [PREFETCH_NO_SERVER] = EXIT_NETWORK,
                                 [PREFETCH_NO_MOUNT] = EXIT_MOUNT,
                                 [PREFETCH_CUT] = EXIT_MOUNT,
                                 [PREFETCH_INTERRUPTED] = EXIT_INTERRUPTED};
    g_autoptr(GError) error = NULL;
    enum prefetch_result result = prefetch_command(command, &error);
    return result == PREFETCH_OK ? 0 : program_fail(STATUS[result], error->message);
}

static int program_check(const struct command *command)
{
    static const int STATUS[] = {[CHECK_OK] = 0,
                                 [CHECK_CONFIG] = EXIT_CONFIG,
                                 [CHECK_NETWORK] = EXIT_NETWORK,
                                 [CHECK_LOGIN] = EXIT_LOGIN,
                                 [CHECK_INTERRUPTED] = EXIT_INTERRUPTED};

    int status = identity_take(command);
    if (status != 0)
        return status;
    process_harden(command->debug);
    return STATUS[check_command(command)];
}

static int program_list(const struct command *command)
{
    int status = identity_take(command);

    if (status != 0)
        return status;
    return list_command(command) ? 0 : EXIT_CONFIG;
}

static int program_retry(const struct command *command)
{
    static const int STATUS[] = {[RETRY_OK] = 0,
                                 [RETRY_NO_SERVER] = EXIT_NETWORK,
                                 [RETRY_REFUSED] = EXIT_LOGIN,
                                 [RETRY_NO_MOUNT] = EXIT_MOUNT};
    g_autoptr(GError) error = NULL;
    enum retry_result result = retry_command(command, &error);
    return result == RETRY_OK ? 0 : program_fail(STATUS[result], error->message);
}

static void log_start(const struct command *command)
{
    GLogLevelFlags most = G_LOG_LEVEL_WARNING;

    if (command->debug)
        most = G_LOG_LEVEL_DEBUG;
    else if (command->foreground)
        most = G_LOG_LEVEL_MESSAGE;
    log_open(false, most);
}

/* A mount that failed leaves no folder behind that nobody had asked for. */
static int program_end(const struct program *program, int status)
{
    if (status != 0 && program->made != NULL)
        mountpoint_unmake(program->own, program->made);
    return status;
}

static int program_run(struct program *program, int argc, char *const argv[])
{
    g_autoptr(GError) error = NULL;

    if (!command_parse(argc, argv, &program->command, &error))
        return program_fail(EXIT_USAGE, error->message);
    if (program->command.help || program->command.version)
        return program_print(&program->command);
    if (program->command.prefetch != NULL)
        return program_prefetch(&program->command);
    if (program->command.retry)
        return program_retry(&program->command);
    log_start(&program->command);
    if (program->command.list)
        return program_list(&program->command);
    if (program->command.check)
        return program_check(&program->command);
    int status = program_prepare(program);
    if (status != 0 || program->command.fake)
        return program_end(program, status);
    const struct supervisor supervisor = {.mountpoint = program->mountpoint,
                                          .foreground = program->command.foreground,
                                          .patience_ms = PATIENCE_MS,
                                          .work = worker_main,
                                          .data = program};
    return program_end(program, supervisor_run(&supervisor));
}

/* mount(8) gives the statuses from 2 on other meanings. */
int main(int argc, char *argv[])
{
    g_auto(program) program = {0};

    int status = program_run(&program, argc, argv);
    return program.command.helper && status > EXIT_USAGE ? EXIT_HELPER : status;
}
