#ifndef HMAR_TESTS_SERVER_TEST_SERVER_H_
#define HMAR_TESTS_SERVER_TEST_SERVER_H_

// A whole server on a free port of this machine, with fake engines, and what tests need to talk to
// it.

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "hmar/v1/image_generation.grpc.pb.h"
#include "server/base/clock.h"
#include "server/base/random_source.h"
#include "server/server.h"
#include "tests/fakes/fake_engine.h"

namespace hmar {

// Far beyond what anything here takes: a test that waits this long has failed.
inline constexpr absl::Duration kPatience = absl::Seconds(60);

// Options that listen on a free port of the loopback interface.
ServerOptions LoopbackOptions();

struct TestServerOptions {
  ServerOptions server = LoopbackOptions();
  std::vector<EngineInfo> models = {FakeEngineInfo()};
  FakeFaults faults;              // Of every engine.
  std::vector<MemoryUse> memory;  // Likewise.
  bool gate_closed = false;       // Engines start behind closed gates; the probe waits, too.
};

class TestServer {
 public:
  // Listening; ready too, unless the gate is closed.
  explicit TestServer(TestServerOptions options = {});

  // Opens the gates, drains.
  ~TestServer();

  Server& server() { return *server_; }
  FakeEngine& engine(size_t model = 0, const std::string& device = "cpu") {
    return *engines_.at({device, model});
  }
  v1::ImageGenerationService::Stub& stub() { return *stub_; }

  // A channel with a connection of its own.
  std::shared_ptr<grpc::Channel> NewChannel() const;

  // What health says of the service, once it says it: waits in a Watch.
  bool AwaitHealth(bool serving) const;

  // The access log's next line; "" if none comes. A call's line is written when the server is done
  // with it.
  std::string NextAccessLine();

  // Those that are there now. After a drain: all.
  std::vector<std::string> TakeAccessLines();

  // The status that on_fatal got; OK if none has come in time.
  absl::Status AwaitFatal() const;

 private:
  class LineSink;

  const RealClock clock_;
  DeviceSeededRandom random_;
  std::shared_ptr<LineSink> access_lines_;
  absl::StatusOr<std::unique_ptr<Engine>> MakeEngine(const TestServerOptions& options,
                                                     const ModelSpec& spec, const Device& device);

  std::map<std::pair<std::string, size_t>, FakeEngine*> engines_;  // Owned by the server.
  mutable absl::Mutex mutex_;
  absl::Status fatal_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ImageGenerationService::Stub> stub_;
};

// What came back from one Generate call.
struct StreamResult {
  std::vector<v1::GenerateResponse> events;
  grpc::Status status;

  std::vector<v1::Image> images() const;      // In the order they came.
  std::vector<v1::Preview> previews() const;  // Likewise.
  const v1::Image* image(uint32_t index) const;
};

// Generates, reading to the end.
StreamResult Generate(v1::ImageGenerationService::Stub& stub, const v1::GenerateRequest& request);
StreamResult Generate(v1::ImageGenerationService::Stub& stub, grpc::ClientContext* context,
                      const v1::GenerateRequest& request);

// A small request: class 1, RGB8 pictures, this seed.
v1::GenerateRequest SmallRequest(uint64_t seed, uint32_t images = 1);

// What the fake model makes of SmallRequest's image of this seed.
std::string ExpectedRgb(const EngineInfo& info, uint64_t seed);

}  // namespace hmar

#endif  // HMAR_TESTS_SERVER_TEST_SERVER_H_
