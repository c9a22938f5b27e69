/* meddle FOLDER KIND AT HOW ERRNO TRACE PROGRAM ARGUMENTS...

   Runs a program and lets the AT-th file operation below FOLDER fail or kill. The kernel asks this program before it
   carries out an operation (seccomp's user notification), so that every operation is seen: of libraries that call the
   kernel themselves, of static programs, of all threads and of child processes.

   KIND   change: opening to write, write, sync, rename, link, unlink, folders, sizes, modes
          read: opening to read, read, stat, listing
   AT     counts from 1; 0 meddles with nothing
   HOW    kill: the process ends before the operation; half: after half of a write
          once: the operation fails with ERRNO; sticky: and all that follow, after half of a write where it was one
   TRACE  gets a line for each operation: number, name, path

   Ends as the program does. Exit code 120: it cannot do this here, and says why. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CANNOT 120
#define WRITES (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)
#define NONE (-1)

/* Where an operation's arguments name its file, and what it can suffer. */
struct operation {
  int number;
  const char *name;
  int folder;   /* argument: descriptor of the folder that a path starts from */
  int path;     /* argument: a path */
  int file;     /* argument: a descriptor */
  int flags;    /* argument: flags of an opening */
  int needs_space;
};

static const struct operation changes[] = {
#ifdef SYS_open
    {SYS_open, "open", NONE, 0, NONE, 1, 1},
    {SYS_creat, "creat", NONE, 0, NONE, NONE, 1},
    {SYS_rename, "rename", NONE, 1, NONE, NONE, 1},
    {SYS_mkdir, "mkdir", NONE, 0, NONE, NONE, 1},
    {SYS_unlink, "unlink", NONE, 0, NONE, NONE, 0},
    {SYS_rmdir, "rmdir", NONE, 0, NONE, NONE, 0},
    {SYS_link, "link", NONE, 1, NONE, NONE, 1},
    {SYS_symlink, "symlink", NONE, 1, NONE, NONE, 1},
    {SYS_chmod, "chmod", NONE, 0, NONE, NONE, 0},
#endif
#ifdef SYS_renameat
    {SYS_renameat, "renameat", 2, 3, NONE, NONE, 1},
#endif
    {SYS_openat, "openat", 0, 1, NONE, 2, 1},
    {SYS_openat2, "openat2", 0, 1, NONE, NONE, 1},
    {SYS_renameat2, "renameat2", 2, 3, NONE, NONE, 1},
    {SYS_mkdirat, "mkdirat", 0, 1, NONE, NONE, 1},
    {SYS_unlinkat, "unlinkat", 0, 1, NONE, NONE, 0},
    {SYS_linkat, "linkat", 2, 3, NONE, NONE, 1},
    {SYS_symlinkat, "symlinkat", 1, 2, NONE, NONE, 1},
    {SYS_fchmodat, "fchmodat", 0, 1, NONE, NONE, 0},
    {SYS_truncate, "truncate", NONE, 0, NONE, NONE, 1},
    {SYS_write, "write", NONE, NONE, 0, NONE, 1},
    {SYS_writev, "writev", NONE, NONE, 0, NONE, 1},
    {SYS_pwrite64, "pwrite", NONE, NONE, 0, NONE, 1},
    {SYS_pwritev, "pwritev", NONE, NONE, 0, NONE, 1},
    {SYS_pwritev2, "pwritev2", NONE, NONE, 0, NONE, 1},
    {SYS_copy_file_range, "copy_file_range", NONE, NONE, 2, NONE, 1},
    {SYS_sendfile, "sendfile", NONE, NONE, 0, NONE, 1},
    {SYS_fallocate, "fallocate", NONE, NONE, 0, NONE, 1},
    {SYS_ftruncate, "ftruncate", NONE, NONE, 0, NONE, 1},
    {SYS_fsync, "fsync", NONE, NONE, 0, NONE, 1},
    {SYS_fdatasync, "fdatasync", NONE, NONE, 0, NONE, 1},
    {SYS_fchmod, "fchmod", NONE, NONE, 0, NONE, 0},
};

static const struct operation reads[] = {
#ifdef SYS_open
    {SYS_open, "open", NONE, 0, NONE, 1, 0},
    {SYS_stat, "stat", NONE, 0, NONE, NONE, 0},
    {SYS_lstat, "lstat", NONE, 0, NONE, NONE, 0},
    {SYS_access, "access", NONE, 0, NONE, NONE, 0},
#endif
    {SYS_openat, "openat", 0, 1, NONE, 2, 0},
    {SYS_statx, "statx", 0, 1, NONE, NONE, 0},
#ifdef SYS_newfstatat
    {SYS_newfstatat, "fstatat", 0, 1, NONE, NONE, 0},
#endif
    {SYS_faccessat, "faccessat", 0, 1, NONE, NONE, 0},
    {SYS_faccessat2, "faccessat2", 0, 1, NONE, NONE, 0},
    {SYS_readlinkat, "readlinkat", 0, 1, NONE, NONE, 0},
    {SYS_read, "read", NONE, NONE, 0, NONE, 0},
    {SYS_readv, "readv", NONE, NONE, 0, NONE, 0},
    {SYS_pread64, "pread", NONE, NONE, 0, NONE, 0},
    {SYS_getdents64, "getdents", NONE, NONE, 0, NONE, 0},
    {SYS_copy_file_range, "copy_file_range", NONE, NONE, 0, NONE, 0},
    {SYS_sendfile, "sendfile", NONE, NONE, 1, NONE, 0},
};

static const struct operation *operations;
static size_t operations_len;
static int reading;

static void cannot(const char *what) {
  fprintf(stderr, "meddle: %s: %s\n", what, strerror(errno));
  exit(CANNOT);
}

/* In the child: from here on the kernel asks before each of the operations. Returns the descriptor that it asks on. */
static int begin_asking(void) {
  struct sock_filter filter[8 * 48];
  unsigned short at = 0;
#if defined(__x86_64__)
  const unsigned architecture = AUDIT_ARCH_X86_64;
#else
  const unsigned architecture = AUDIT_ARCH_AARCH64;
#endif
  const struct sock_filter ask = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
  const struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const struct sock_filter number =
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0);
  filter[at++] = allow;
  filter[at++] = number;
  for (size_t i = 0; i < operations_len; i++) {
    const struct operation *o = &operations[i];
    if (o->flags == NONE) {
      filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, o->number, 0, 1);
      filter[at++] = ask;
    } else {
      filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, o->number, 0, 4);
      filter[at++] = (struct sock_filter)BPF_STMT(
          BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * o->flags);
      filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, WRITES, reading ? 0 : 1, reading ? 1 : 0);
      filter[at++] = allow;
      filter[at++] = ask;
    }
  }
  filter[at++] = allow;
  struct sock_fprog program = {at, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) cannot("no_new_privs");
  int listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  if (listener < 0) cannot("seccomp's user notification");
  return listener;
}

static void send_descriptor(int socket, int descriptor) {
  char space[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
  if (sendmsg(socket, &message, 0) < 0) cannot("sendmsg");
}

/* None where the other end was closed. */
static int receive_descriptor(int socket) {
  char space[CMSG_SPACE(sizeof(int))] = {0}, byte;
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  int descriptor = NONE;
  if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) > 0 && CMSG_FIRSTHDR(&message))
    memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
  return descriptor;
}

static int link_of(int thread, const char *what, int descriptor, char *path) {
  char link[64];
  if (descriptor == AT_FDCWD) snprintf(link, sizeof link, "/proc/%d/cwd", thread);
  else snprintf(link, sizeof link, "/proc/%d/%s/%d", thread, what, descriptor);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  path[length < 0 ? 0 : length] = 0;
  return length > 0;
}

/* Bytes of another process, as many as are there. */
static ssize_t memory_of(int thread, unsigned long at, void *into, size_t length) {
  struct iovec here = {into, length}, there = {(void *)at, length};
  return process_vm_readv(thread, &here, 1, &there, 1, 0);
}

/* A text of another process: read page by page, because the next page may not be there. */
static int text_of(int thread, unsigned long at, char *into) {
  for (size_t length = 0; length < PATH_MAX - 1;) {
    size_t piece = 4096 - (at + length) % 4096;
    if (piece > PATH_MAX - 1 - length) piece = PATH_MAX - 1 - length;
    ssize_t got = memory_of(thread, at + length, into + length, piece);
    if (got <= 0) return 0;
    into[length + got] = 0;
    if (memchr(into + length, 0, got)) return 1;
    length += got;
  }
  return 1;
}

static int path_of(const struct operation *o, const struct seccomp_notif *asked, char *path) {
  int thread = asked->pid;
  if (o->file != NONE) return link_of(thread, "fd", (int)asked->data.args[o->file], path);
  char said[PATH_MAX] = "";
  if (asked->data.args[o->path] && !text_of(thread, asked->data.args[o->path], said)) return 0;
  if (said[0] == '/') return strcpy(path, said), 1;
  int folder = o->folder == NONE ? AT_FDCWD : (int)asked->data.args[o->folder];
  if (!link_of(thread, "fd", folder, path)) return 0;
  size_t length = strlen(path);
  if (said[0] && length + 1 + strlen(said) < PATH_MAX) path[length] = '/', strcpy(path + length + 1, said);
  return 1;
}

/* Where openat2's flags do not fit the kind, the filter could not know. */
static int fits(const struct operation *o, const struct seccomp_notif *asked) {
  if (o->number != SYS_openat2) return 1;
  struct open_how how = {0};
  memory_of(asked->pid, asked->data.args[2], &how, sizeof how);
  return (how.flags & WRITES) != 0;
}

/* A full disk lets whoever only removes, or opens what is there, go on. */
static int can_suffer(const struct operation *o, const struct seccomp_notif *asked, int error) {
  if (error != ENOSPC) return 1;
  if (o->flags != NONE && !(asked->data.args[o->flags] & O_CREAT)) return 0;
  return o->needs_space;
}

static int is_write(const struct operation *o) { return o->number == SYS_write || o->number == SYS_pwrite64; }

/* Carries out half of a write on the process's own open file, whose place moves on; how much that was. */
static long half_of(const struct operation *o, const struct seccomp_notif *asked) {
  size_t length = asked->data.args[2] / 2;
  char *bytes = malloc(length + 1);
  char line[256];
  int group = asked->pid;
  snprintf(line, sizeof line, "/proc/%d/status", asked->pid);
  FILE *status = fopen(line, "r");
  while (status && fgets(line, sizeof line, status)) sscanf(line, "Tgid: %d", &group);
  if (status) fclose(status);
  int process = syscall(SYS_pidfd_open, group, 0);
  int file = syscall(SYS_pidfd_getfd, process, (int)asked->data.args[0], 0);
  long written = -1;
  if (bytes && file >= 0 && memory_of(asked->pid, asked->data.args[1], bytes, length) == (ssize_t)length)
    written = o->number == SYS_write ? write(file, bytes, length) : pwrite(file, bytes, length, asked->data.args[3]);
  free(bytes), close(file), close(process);
  return written;
}

static const struct operation *find(int number) {
  for (size_t i = 0; i < operations_len; i++)
    if (operations[i].number == number) return &operations[i];
  return NULL;
}

static int is_below(const char *path, const char *folder) {
  size_t length = strlen(folder);
  return !strncmp(path, folder, length) && (path[length] == '/' || path[length] == 0);
}

int main(int argc, char **argv) {
  if (argc < 8) return fprintf(stderr, "meddle: too few arguments\n"), CANNOT;
  const char *folder = argv[1], *how = argv[4];
  long at = atol(argv[3]), count = 0;
  int error = atoi(argv[5]), pair[2], done_half = 0;
  int kills = !strcmp(how, "kill"), half = !strcmp(how, "half"), sticky = !strcmp(how, "sticky");
  reading = !strcmp(argv[2], "read");
  operations = reading ? reads : changes;
  operations_len = reading ? sizeof reads / sizeof *reads : sizeof changes / sizeof *changes;
  FILE *trace = fopen(argv[6], "we");
  if (!trace || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) cannot(argv[6]);

  pid_t child = fork();
  if (child < 0) cannot("fork");
  if (!child) {
    close(pair[0]);
    /* Whatever ends this program ends the other one; and its children are found by their group. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    int listener = begin_asking();
    send_descriptor(pair[1], listener);
    close(listener);
    execv(argv[7], argv + 7);
    cannot(argv[7]);
  }
  close(pair[1]);
  int listener = receive_descriptor(pair[0]), status = 0, ended = 0;
  struct pollfd waiting = {listener, POLLIN, 0};
  while (listener >= 0) {
    if (!ended && waitpid(child, &status, WNOHANG) == child) ended = 1, kill(-child, SIGKILL);
    if (poll(&waiting, 1, 5) < 0 && errno != EINTR) break;
    if (waiting.revents & POLLHUP) break;
    if (!(waiting.revents & POLLIN)) continue;
    struct seccomp_notif asked = {0};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked)) continue;
    struct seccomp_notif_resp answer = {asked.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    const struct operation *o = find(asked.data.nr);
    char path[PATH_MAX] = "";
    if (o && fits(o, &asked) && path_of(o, &asked, path) && is_below(path, folder) && can_suffer(o, &asked, error)) {
      count++;
      int hit = at && (count == at || (sticky && count > at));
      fprintf(trace, "%ld %s %s%s\n", count, o->name, path, hit ? " <- here" : "");
      fflush(trace);
      if (hit && (kills || half)) {
        if (half && is_write(o)) half_of(o, &asked);
        kill(asked.pid, SIGKILL);
        continue;
      }
      if (hit) answer.flags = 0, answer.error = -error;
      if (hit && sticky && !done_half && is_write(o) && asked.data.args[2] > 1) {
        long written = half_of(o, &asked);
        if (written > 0) answer.error = 0, answer.val = written;
        done_half = 1;
      }
    }
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
  if (!ended) waitpid(child, &status, 0), kill(-child, SIGKILL);
  if (WIFSIGNALED(status)) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(WTERMSIG(status), SIG_DFL);
    kill(getpid(), WTERMSIG(status));
  }
  return WEXITSTATUS(status);
}
