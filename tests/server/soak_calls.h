#ifndef HMAR_TESTS_SERVER_SOAK_CALLS_H_
#define HMAR_TESTS_SERVER_SOAK_CALLS_H_

// Random calls for fault_soak_test: what is asked, what goes wrong with it, who leaves early, and
// what of their ends is right.

#include <cstdint>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "hmar/v1/image_generation.grpc.pb.h"
#include "tests/fakes/fake_engine.h"

namespace hmar {

using SoakRandom = std::mt19937_64;

// What an engine does to a call.
enum class Guilt {
  kNone,
  kPerhaps,  // A fault that only shows in some steps: an end of either kind is right.
  kCertain,  // The call fails unless it ends before.
};

// One call. Its images' seeds, and an edit's shade, are no other call's.
struct SoakCall {
  v1::GenerateRequest request;
  bool unary = false;  // GenerateImages; else Generate.
  bool bad = false;    // INVALID_ARGUMENT.
  Guilt guilt = Guilt::kNone;
  std::optional<int> cancel_after_events;  // Of a stream, at least 1: after Accepted.
  std::optional<int> deadline_ms;
  std::string principal;  // x-forwarded-for

  const std::string& id() const { return request.request_id(); }
};

// How it ended for its client.
struct SoakEnd {
  grpc::Status status;
  std::string reason;     // Of ErrorInfo. Empty though not OK: perhaps not the server's word.
  bool accepted = false;  // Accepted came.
  std::vector<v1::Image> images;
  bool completed = false;
};

struct SoakPlan {
  std::vector<SoakCall> calls;
  FakeFaults faults;  // What makes the guilty so.
};

// `count` calls of the models named.
SoakPlan PlanSoak(SoakRandom& random, size_t count, const std::vector<std::string>& models);

// Sends it and reads to the end; a call that takes kPatience has failed the test.
SoakEnd RunCall(v1::ImageGenerationService::Stub& stub, const SoakCall& call);

// "": a right end while all is well but for the engines' faults, else what is wrong with it.
// `server_ends`: reasons that the server's own end may give, to any call. A call refused with one
// of them before it was accepted may also meet a closed or closing port (no reason).
std::string WrongWith(const SoakCall& call, const SoakEnd& end,
                      const std::set<std::string>& server_ends);

}  // namespace hmar

#endif  // HMAR_TESTS_SERVER_SOAK_CALLS_H_
