#include "tests/client/subprocess.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <utility>

#include "client/files.h"

namespace hmar {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) pointers.push_back(const_cast<char*>(string.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Subprocess::Subprocess(const std::vector<std::string>& argv, const std::string& folder,
                       const std::vector<std::string>& environment, int error_fd)
    : folder_(folder) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, 1, (folder + "/stdout").c_str(), kFlags, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, (folder + "/stderr").c_str(), kFlags, 0600);
  if (error_fd != -1) posix_spawn_file_actions_adddup2(&actions, error_fd, 2);
  std::vector<std::string> full_environment = environment;
  full_environment.push_back("PATH=/usr/bin:/bin");
  if (posix_spawn(&pid_, argv[0].c_str(), &actions, nullptr, Pointers(argv).data(),
                  Pointers(full_environment).data()) != 0) {
    pid_ = -1;
  }
  posix_spawn_file_actions_destroy(&actions);
}

Subprocess::~Subprocess() {
  if (pid_ == -1) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Subprocess::Signal(int signal) {
  if (pid_ != -1) kill(pid_, signal);
}

ProcessResult Subprocess::Wait() {
  ProcessResult result;
  int status = 0;
  const pid_t pid = std::exchange(pid_, -1);
  struct rusage usage = {};
  if (pid == -1 || wait4(pid, &status, 0, &usage) != pid) return result;
  result.peak_bytes = static_cast<size_t>(usage.ru_maxrss) * 1024;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = ReadFile(folder_ + "/stdout").value_or("");
  result.error = ReadFile(folder_ + "/stderr").value_or("");
  return result;
}

}  // namespace hmar
