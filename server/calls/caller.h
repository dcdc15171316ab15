#ifndef HMAR_SERVER_CALLS_CALLER_H_
#define HMAR_SERVER_CALLS_CALLER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/keys/key_ring.h"

namespace hmar {

// What a call's headers say of who makes it, whatever transport it came by.
struct CallHeaders {
  std::string peer;  // Address and port as gRPC names them: "ipv4:10.0.0.1:4711".
  std::vector<std::string> authorization;  // Every header of that name.
  std::string forwarded_for;               // The first x-forwarded-for; "": none.
  absl::Time deadline = absl::InfiniteFuture();
};

// Who makes a call, and until when.
struct Caller {
  std::string peer;       // As above, for the log.
  std::string principal;  // Who shares the devices with others as one: a key's name, or an address.
  std::shared_ptr<const KeyHolder> key;  // Null where the server asks for none.
  absl::Time deadline = absl::InfiniteFuture();
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_CALLER_H_
