#ifndef HMAR_TESTS_CLIENT_SUBPROCESS_H_
#define HMAR_TESTS_CLIENT_SUBPROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace hmar {

struct ProcessResult {
  int exit_code = -1;  // 128 + N after signal N.
  std::string out;
  std::string error;
  size_t peak_bytes = 0;  // Of its memory; no less than this process had when it started it.
};

// A program under test, with its standard output and error kept in files of `folder`. Dies with the
// object.
class Subprocess {
 public:
  // `environment` entries are NAME=VALUE; the program sees no others but PATH. `error_fd`, unless
  // -1, takes the place of standard error's file.
  Subprocess(const std::vector<std::string>& argv, const std::string& folder,
             const std::vector<std::string>& environment = {}, int error_fd = -1);
  ~Subprocess();
  Subprocess(const Subprocess&) = delete;
  Subprocess& operator=(const Subprocess&) = delete;

  void Signal(int signal);
  ProcessResult Wait();  // Once.

 private:
  const std::string folder_;
  pid_t pid_ = -1;  // -1: not running.
};

}  // namespace hmar

#endif  // HMAR_TESTS_CLIENT_SUBPROCESS_H_
