/* A disk that fails when told to: loaded into the broker by LD_PRELOAD, it stands between it and the C library.
 *
 * LEPUS_TEST_DISK names a directory. While there is a file in it named after a part of the data directory, such as
 *   hold-meta        writes and syncs of files below meta/ wait until the file is gone
 *   stall-messages   syncs of files below messages/ wait until the file is gone
 *   full-meta        writes to files below meta/, and what makes them longer, fail with ENOSPC
 *   packed-messages  writes that make files below messages/ longer fail with ENOSPC
 *   unread-messages  reads of files below messages/ wait until the file is gone; there is a file held-<thread> for each
 *   fail-messages    syncs of files below messages/ fail with EIO
 *   bad-messages     reads of files below messages/ fail with EIO
 *   kill-meta        the process is killed at the sync of a file below meta/ whose number, from 0, is in the file kill-at
 *   trace            the path of whatever is synced is added to the file synced
 * A file "loaded" is made there at the start, so that the test knows that it stands in between. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static const char *const parts[] = {"meta", "messages", "spill"};

static int asked(const char *what, const char *part)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s-%s", getenv("LEPUS_TEST_DISK"), what, part);
	return access(path, F_OK) == 0;
}

/* Whether `what` is asked for the file behind `fd`. */
static int applies(const char *what, int fd)
{
	char link[64], path[4096], inside[32];
	int kept = errno, found = 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, path, sizeof path - 1);
	path[length < 0 ? 0 : length] = 0;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		snprintf(inside, sizeof inside, "/%s/", parts[i]);
		found |= strstr(path, inside) != NULL && asked(what, parts[i]);
	}
	errno = kept;
	return found;
}

static void wait_while(const char *what, int fd)
{
	while (applies(what, fd))
		usleep(1000);
}

static void note_sync(int fd)
{
	char link[64], path[4096], target[4096];
	snprintf(path, sizeof path, "%s/trace", getenv("LEPUS_TEST_DISK"));
	if (access(path, F_OK) != 0)
		return;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, target, sizeof target - 1);
	target[length < 0 ? 0 : length] = 0;
	snprintf(path, sizeof path, "%s/synced", getenv("LEPUS_TEST_DISK"));
	FILE *synced = fopen(path, "a");
	if (synced != NULL) {
		fprintf(synced, "%s\n", target);
		fclose(synced);
	}
}

static void kill_at_sync(int fd)
{
	static int syncs;
	int at = -1;
	char path[4096];
	if (!applies("kill", fd))
		return;
	snprintf(path, sizeof path, "%s/kill-at", getenv("LEPUS_TEST_DISK"));
	FILE *number = fopen(path, "r");
	if (number != NULL) {
		if (fscanf(number, "%d", &at) != 1)
			at = -1;
		fclose(number);
	}
	if (syncs++ == at)
		kill(getpid(), SIGKILL);
}

static int failing_sync(int fd, const char *name)
{
	note_sync(fd);
	kill_at_sync(fd);
	wait_while("hold", fd);
	wait_while("stall", fd);
	if (applies("fail", fd)) {
		errno = EIO;
		return -1;
	}
	return ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
}

int fsync(int fd) { return failing_sync(fd, "fsync"); }
int fdatasync(int fd) { return failing_sync(fd, "fdatasync"); }

/* Whether there is no room for the file to reach `end`. */
static int full(int fd, off64_t end)
{
	struct stat64 now;
	wait_while("hold", fd);
	if (!applies("full", fd) && !(applies("packed", fd) && fstat64(fd, &now) == 0 && end > now.st_size))
		return 0;
	errno = ENOSPC;
	return 1;
}

#define WRITE_AT(name, offset_type) \
	ssize_t name(int fd, const void *data, size_t length, offset_type at) \
	{ \
		if (full(fd, (off64_t)at + (off64_t)length)) \
			return -1; \
		ssize_t (*next)(int, const void *, size_t, offset_type) = dlsym(RTLD_NEXT, #name); \
		return next(fd, data, length, at); \
	}

#define LENGTHEN(name, offset_type) \
	int name(int fd, offset_type length) \
	{ \
		if (full(fd, length)) \
			return -1; \
		int (*next)(int, offset_type) = dlsym(RTLD_NEXT, #name); \
		return next(fd, length); \
	}

static void hold_read(int fd)
{
	char path[4096];
	if (!applies("unread", fd))
		return;
	snprintf(path, sizeof path, "%s/held-%d", getenv("LEPUS_TEST_DISK"), (int)gettid());
	int held = open(path, O_CREAT | O_WRONLY, 0600);
	if (held >= 0)
		close(held);
	wait_while("unread", fd);
}

#define READ_AT(name, offset_type) \
	ssize_t name(int fd, void *data, size_t length, offset_type at) \
	{ \
		hold_read(fd); \
		if (applies("bad", fd)) { \
			errno = EIO; \
			return -1; \
		} \
		ssize_t (*next)(int, void *, size_t, offset_type) = dlsym(RTLD_NEXT, #name); \
		return next(fd, data, length, at); \
	}

READ_AT(pread, off_t)
READ_AT(pread64, off64_t)
WRITE_AT(pwrite, off_t)
WRITE_AT(pwrite64, off64_t)
LENGTHEN(ftruncate, off_t)
LENGTHEN(ftruncate64, off64_t)

__attribute__((constructor)) static void loaded(void)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/loaded", getenv("LEPUS_TEST_DISK"));
	int fd = open(path, O_CREAT | O_WRONLY, 0600);
	if (fd >= 0)
		close(fd);
}
