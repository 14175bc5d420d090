/*
 * margay's add-on: the few Linux calls that Node does not have. Each takes and gives plain numbers and buffers; an error is
 * a negative errno, never an exception, so that the TypeScript side words it. Plain C over Node-API 8: one binary serves
 * every Node from 20 on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/nsfs.h>
#include <node_api.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* Raised whenever a function changes its meaning; src/kernel/native.ts refuses any other. */
#define MARGAY_ABI 1
#define MAX_ARGS 4
#define MAX_PATH 4096

typedef struct poller {
  uv_poll_t handle;
  napi_env env;
  napi_ref callback;
  napi_async_cleanup_hook_handle hook;
  int fd;
  int is_closing;
  struct poller *next;
} poller;

/* What belongs to one environment (the main thread, or a worker): its running pollers. */
typedef struct {
  poller *first;
} instance;

typedef struct {
  napi_value at[MAX_ARGS];
  size_t count;
} args;

static args read_args(napi_env env, napi_callback_info info) {
  args a;
  a.count = MAX_ARGS;
  if (napi_get_cb_info(env, info, &a.count, a.at, NULL, NULL) != napi_ok) a.count = 0;
  return a;
}

static napi_value number(napi_env env, int64_t value) {
  napi_value result = NULL;
  napi_create_int64(env, value, &result);
  return result;
}

/* A system call's result as this add-on gives it: the result, or the negative errno. */
static napi_value outcome(napi_env env, ssize_t result) {
  return number(env, result < 0 ? -(int64_t)errno : (int64_t)result);
}

static int to_int(napi_env env, napi_value value) {
  int32_t result = -1;
  napi_get_value_int32(env, value, &result);
  return result;
}

static int to_bytes(napi_env env, napi_value value, void **start, size_t *length) {
  return napi_get_buffer_info(env, value, start, length) == napi_ok;
}

/* False where the value is no string or does not fit: a cut path would name another file. */
static int to_path(napi_env env, napi_value value, char *path) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok || length >= MAX_PATH) return 0;
  return napi_get_value_string_utf8(env, value, path, MAX_PATH, &length) == napi_ok;
}

/* socket(domain, type, protocol): never inherited by a child, never blocking. */
static napi_value sys_socket(napi_env env, napi_callback_info info) {
  args a = read_args(env, info);
  int type = to_int(env, a.at[1]) | SOCK_CLOEXEC | SOCK_NONBLOCK;
  return outcome(env, socket(to_int(env, a.at[0]), type, to_int(env, a.at[2])));
}

/* bind(fd, address) */
static napi_value sys_bind(napi_env env, napi_callback_info info) {
  args a = read_args(env, info);
  void *address;
  size_t length;
  if (!to_bytes(env, a.at[1], &address, &length)) return number(env, -EINVAL);
  return outcome(env, bind(to_int(env, a.at[0]), address, (socklen_t)length));
}

/* connect(fd, address) */
static napi_value sys_connect(napi_env env, napi_callback_info info) {
  args a = read_args(env, info);
  void *address;
  size_t length;
  if (!to_bytes(env, a.at[1], &address, &length)) return number(env, -EINVAL);
  return outcome(env, connect(to_int(env, a.at[0]), address, (socklen_t)length));
}

/* getsockname(fd, buffer): the length of the address. */
static napi_value sys_getsockname(napi_env env, napi_callback_info info) {
  args a = read_args(env, info);
  void *address;
  size_t length;
  if (!to_bytes(env, a.at[1], &address, &length)) return number(env, -EINVAL);
  socklen_t size = (socklen_t)length;
  int result = getsockname(to_int(env, a.at[0]), address, &size);
  return outcome(env, result < 0 ? result : (ssize_t)size);
}

/* send(fd, bytes, address | undefined): the number of bytes. */
static napi_value sys_send(napi_env env, napi_callback_info info) {
  args a = read_args(env, info);
  void *bytes, *address = NULL;
  size_t length, address_length = 0;
  if (!to_bytes(env, a.at[1], &bytes, &length)) return number(env, -EINVAL);
  if (a.count < 3 || !to_bytes(env, a.at[2], &address, &address_length)) address_length = 0;
  return outcome(env, sendto(to_int(env, a.at[0]), bytes, length, MSG_NOSIGNAL, address_length ? address : NULL, (socklen_t)address_length));
}

/* recv(fd, buffer): the length of the whole datagram, which is more than the buffer's where it was cut. */
static napi_value sys_recv(napi_env env, napi_callback_info info) {
  args a = read_args(env, info);
  void *bytes;
  size_t length;
  if (!to_bytes(env, a.at[1], &bytes, &length)) return number(env, -EINVAL);
  return outcome(env, recv(to_int(env, a.at[0]), bytes, length, MSG_TRUNC | MSG_DONTWAIT));
}

/* setsockopt(fd, level, option, value): options that are one int. */
static napi_value sys_setsockopt(napi_env env, napi_callback_info info) {
  args a = read_args(env, info);
  int value = to_int(env, a.at[3]);
  return outcome(env, setsockopt(to_int(env, a.at[0]), to_int(env, a.at[1]), to_int(env, a.at[2]), &value, sizeof value));
}

/* getsockopt(fd, level, option): options that are one int of 0 or more. */
static napi_value sys_getsockopt(napi_env env, napi_callback_info info) {
  args a = read_args(env, info);
  int value = 0;
  socklen_t size = sizeof value;
  int result = getsockopt(to_int(env, a.at[0]), to_int(env, a.at[1]), to_int(env, a.at[2]), &value, &size);
  return outcome(env, result < 0 ? result : value);
}

/* close(fd) */
static napi_value sys_close(napi_env env, napi_callback_info info) {
  args a = read_args(env, info);
  return outcome(env, close(to_int(env, a.at[0])));
}

/* setns(fd): moves this thread, and no other, into the network namespace. */
static napi_value sys_setns(napi_env env, napi_callback_info info) {
  args a = read_args(env, info);
  return outcome(env, setns(to_int(env, a.at[0]), CLONE_NEWNET));
}

/* isNetns(fd): 1 for a network namespace, 0 for any other kind, -ENOTTY for what is no namespace. */
static napi_value sys_is_netns(napi_env env, napi_callback_info info) {
  args a = read_args(env, info);
  int type = ioctl(to_int(env, a.at[0]), NS_GET_NSTYPE);
  return outcome(env, type < 0 ? type : type == CLONE_NEWNET);
}

/* mount(source, target, flags): bind mounts and changes of propagation, so without a type of file system. */
static napi_value sys_mount(napi_env env, napi_callback_info info) {
  args a = read_args(env, info);
  char source[MAX_PATH], target[MAX_PATH];
  if (!to_path(env, a.at[0], source) || !to_path(env, a.at[1], target)) return number(env, -ENAMETOOLONG);
  return outcome(env, mount(source, target, "none", (unsigned long)to_int(env, a.at[2]), NULL));
}

/* umount(target, flags) */
static napi_value sys_umount(napi_env env, napi_callback_info info) {
  args a = read_args(env, info);
  char target[MAX_PATH];
  if (!to_path(env, a.at[0], target)) return number(env, -ENAMETOOLONG);
  return outcome(env, umount2(target, to_int(env, a.at[1])));
}

static void on_closed(uv_handle_t *handle) {
  poller *p = handle->data;
  if (p->hook) napi_remove_async_cleanup_hook(p->hook);
  free(p);
}

static void stop_poller(poller *p) {
  if (p->is_closing) return;
  p->is_closing = 1;
  instance *own = NULL;
  napi_get_instance_data(p->env, (void **)&own);
  for (poller **at = own ? &own->first : NULL; at && *at; at = &(*at)->next) {
    if (*at != p) continue;
    *at = p->next;
    break;
  }
  uv_poll_stop(&p->handle);
  napi_delete_reference(p->env, p->callback);
  uv_close((uv_handle_t *)&p->handle, on_closed);
}

/* The environment ends (a worker that stops): the loop waits until the handle is closed. */
static void on_cleanup(napi_async_cleanup_hook_handle hook, void *arg) {
  (void)hook;
  stop_poller(arg);
}

static void on_readable(uv_poll_t *handle, int status, int events) {
  (void)events;
  poller *p = handle->data;
  napi_env env = p->env;
  /* libuv stops the watcher on POLLERR, which a netlink socket raises with ENOBUFS: without this no event would come again. */
  if (status < 0) uv_poll_start(handle, UV_READABLE, on_readable);
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback, self, thrown, result;
  if (napi_get_reference_value(env, p->callback, &callback) == napi_ok && napi_get_global(env, &self) == napi_ok &&
      napi_make_callback(env, NULL, self, callback, 0, NULL, &result) == napi_pending_exception) {
    if (napi_get_and_clear_last_exception(env, &thrown) == napi_ok) napi_fatal_exception(env, thrown);
  }
  napi_close_handle_scope(env, scope);
}

/* poll(fd, callback): calls back whenever the socket is readable or has an error, until stopPoll(fd). */
static napi_value sys_poll(napi_env env, napi_callback_info info) {
  args a = read_args(env, info);
  napi_valuetype type;
  if (napi_typeof(env, a.at[1], &type) != napi_ok || type != napi_function) return number(env, -EINVAL);
  uv_loop_t *loop = NULL;
  instance *own = NULL;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok || napi_get_instance_data(env, (void **)&own) != napi_ok || !own) return number(env, -EINVAL);
  poller *p = calloc(1, sizeof *p);
  if (!p) return number(env, -ENOMEM);
  p->env = env;
  p->fd = to_int(env, a.at[0]);
  int failed = uv_poll_init(loop, &p->handle, p->fd);
  if (failed) {
    free(p);
    return number(env, failed);
  }
  p->handle.data = p;
  napi_create_reference(env, a.at[1], 1, &p->callback);
  napi_add_async_cleanup_hook(env, on_cleanup, p, &p->hook);
  p->next = own->first;
  own->first = p;
  return number(env, uv_poll_start(&p->handle, UV_READABLE, on_readable));
}

/* stopPoll(fd): to be called before close(fd). */
static napi_value sys_stop_poll(napi_env env, napi_callback_info info) {
  args a = read_args(env, info);
  int fd = to_int(env, a.at[0]);
  instance *own = NULL;
  napi_get_instance_data(env, (void **)&own);
  for (poller *p = own ? own->first : NULL; p; p = p->next) {
    if (p->fd != fd) continue;
    stop_poller(p);
    return number(env, 0);
  }
  return number(env, -ENOENT);
}

static void free_instance(napi_env env, void *own, void *hint) {
  (void)env;
  (void)hint;
  free(own);
}

static void export_function(napi_env env, napi_value exports, const char *name, napi_callback function) {
  napi_value value;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, function, NULL, &value) == napi_ok) napi_set_named_property(env, exports, name, value);
}

NAPI_MODULE_INIT() {
  instance *own = calloc(1, sizeof *own);
  if (!own) return NULL;
  napi_set_instance_data(env, own, free_instance, NULL);
  napi_set_named_property(env, exports, "abi", number(env, MARGAY_ABI));
  export_function(env, exports, "socket", sys_socket);
  export_function(env, exports, "bind", sys_bind);
  export_function(env, exports, "connect", sys_connect);
  export_function(env, exports, "getsockname", sys_getsockname);
  export_function(env, exports, "send", sys_send);
  export_function(env, exports, "recv", sys_recv);
  export_function(env, exports, "setsockopt", sys_setsockopt);
  export_function(env, exports, "getsockopt", sys_getsockopt);
  export_function(env, exports, "close", sys_close);
  export_function(env, exports, "setns", sys_setns);
  export_function(env, exports, "isNetns", sys_is_netns);
  export_function(env, exports, "mount", sys_mount);
  export_function(env, exports, "umount", sys_umount);
  export_function(env, exports, "poll", sys_poll);
  export_function(env, exports, "stopPoll", sys_stop_poll);
  return exports;
}
