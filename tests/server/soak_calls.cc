#include "tests/server/soak_calls.h"

#include <grpcpp/client_context.h>

#include <iterator>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/server/grpc_details.h"
#include "tests/server/test_server.h"
#include "tests/server/uploads/png_maker.h"

namespace hmar {
namespace {

constexpr uint64_t kSeedsOfACall = 100;
constexpr uint32_t kMostImages = 6;
constexpr uint32_t kSide = 12;
constexpr int kPrincipals = 4;
// Edits of these shades are guilty of what the encoder does with them; of any other they are not.
constexpr uint8_t kFailingShade = 200, kThrowingShade = 201, kOmittedShade = 202, kCutShade = 203;
constexpr uint8_t kHarmlessShades = 40;

bool OneIn(SoakRandom& random, int of) { return random() % of == 0; }

int Between(SoakRandom& random, int least, int most) {
  return least + static_cast<int>(random() % static_cast<uint64_t>(most - least + 1));
}

FakeThrow AnyThrow(SoakRandom& random) {
  return OneIn(random, 2) ? FakeThrow::kBadAlloc : FakeThrow::kRuntimeError;
}

// A lie about strangers harms nobody; of a preview only those hear that wanted one.
Guilt GuiltOf(EngineLie lie) {
  const bool perhaps = lie == EngineLie::kStrangers || lie == EngineLie::kPreviewOfOtherSize;
  return perhaps ? Guilt::kPerhaps : Guilt::kCertain;
}

// Makes images of this seed go wrong in one of all ways.
Guilt AddFault(SoakRandom& random, uint64_t seed, FakeFaults& faults) {
  switch (random() % 6) {
    case 0:
      faults.refuse_seeds.insert(seed);
      return Guilt::kCertain;
    case 1:
      faults.step_fails_seeds.insert(seed);
      return Guilt::kCertain;
    case 2:
      faults.non_finite_seeds.insert(seed);
      return Guilt::kCertain;
    case 3:
      faults.admit_throws[seed] = AnyThrow(random);
      return Guilt::kCertain;
    case 4:
      faults.step_throws[seed] = AnyThrow(random);
      return Guilt::kCertain;
    default:
      const EngineLie lie = kAllEngineLies[random() % std::size(kAllEngineLies)];
      faults.lies[seed] = lie;
      return GuiltOf(lie);
  }
}

void MakeEdit(SoakRandom& random, SoakCall& call) {
  uint8_t shade = static_cast<uint8_t>(random() % kHarmlessShades);
  if (OneIn(random, 4)) {
    shade = static_cast<uint8_t>(Between(random, kFailingShade, kCutShade));
    call.guilt = Guilt::kCertain;
  }
  v1::EditOptions& edit = *call.request.mutable_edit();
  edit.set_image(MakePng({.width = kSide, .height = kSide},
                         std::vector<uint16_t>(size_t{kSide} * kSide * 3, shade)));
  edit.mutable_box()->set_x1(kSide / 2);
  edit.mutable_box()->set_y1(kSide);
}

void MakePreviews(SoakRandom& random, SoakCall& call) {
  call.request.mutable_previews()->set_mode(OneIn(random, 2) ? v1::PreviewOptions::MODE_FAST
                                                             : v1::PreviewOptions::MODE_FULL);
}

// Some leave, some are in a hurry, some ask for what cannot be.
void MakeEnd(SoakRandom& random, SoakCall& call) {
  switch (random() % 8) {
    case 0:
      if (!call.unary) call.cancel_after_events = Between(random, 1, 6);
      return;
    case 1:
      call.deadline_ms = Between(random, 1, 60);
      if (OneIn(random, 2)) {
        call.request.mutable_scheduling()->set_on_deadline(v1::Scheduling::ON_DEADLINE_FAIL);
      }
      return;
    case 2:
      call.bad = OneIn(random, 2);
      if (call.bad) call.request.mutable_scheduling()->set_priority(99);
      return;
    default:
      return;
  }
}

SoakCall MakeCall(SoakRandom& random, size_t number, const std::vector<std::string>& models,
                  FakeFaults& faults) {
  SoakCall call;
  const uint64_t seed = (number + 1) * kSeedsOfACall;
  const auto images = static_cast<uint32_t>(Between(random, 1, kMostImages));
  call.request = SmallRequest(seed, images);
  call.request.set_request_id(absl::StrCat("soak-", number));
  call.request.set_model(models[random() % models.size()]);
  call.request.mutable_scheduling()->set_priority(Between(random, -10, 10));
  call.request.set_validate_only(OneIn(random, 16));
  call.unary = OneIn(random, 4);
  call.principal = absl::StrCat("10.0.0.", Between(random, 1, kPrincipals));
  if (!call.unary && OneIn(random, 2)) MakePreviews(random, call);
  if (OneIn(random, 4)) {
    MakeEdit(random, call);
  } else if (OneIn(random, 5)) {
    call.guilt = AddFault(random, seed + random() % images, faults);
  }
  if (call.request.validate_only()) call.guilt = Guilt::kNone;  // Nothing of it reaches an engine.
  MakeEnd(random, call);
  return call;
}

void TakeEvent(v1::GenerateResponse event, SoakEnd& end) {
  end.accepted |= event.has_accepted();
  end.completed |= event.has_completed();
  if (event.has_image()) end.images.push_back(std::move(*event.mutable_image()));
}

void RunStream(v1::ImageGenerationService::Stub& stub, grpc::ClientContext& context,
               const SoakCall& call, SoakEnd& end) {
  const auto stream = stub.Generate(&context, call.request);
  int events = 0;
  for (v1::GenerateResponse event; stream->Read(&event);) {
    TakeEvent(std::move(event), end);
    if (++events == call.cancel_after_events) context.TryCancel();
  }
  end.status = stream->Finish();
}

void RunUnary(v1::ImageGenerationService::Stub& stub, grpc::ClientContext& context,
              const SoakCall& call, SoakEnd& end) {
  v1::GenerateImagesRequest request;
  *request.mutable_request() = call.request;
  v1::GenerateImagesResponse response;
  end.status = stub.GenerateImages(&context, request, &response);
  end.accepted = response.has_accepted();
  end.completed = response.has_completed();
  end.images.assign(response.images().begin(), response.images().end());
}

std::string WrongWithImages(const SoakCall& call, const SoakEnd& end) {
  const bool made = !call.request.validate_only();
  const uint32_t wanted = made ? call.request.num_images() : 0;
  if (!end.completed || end.images.size() != wanted) {
    return absl::StrCat(end.images.size(), " images of ", wanted);
  }
  const EngineInfo info = FakeEngineInfo(call.request.model());
  for (const v1::Image& image : end.images) {
    if (call.request.has_edit()) continue;
    if (image.picture().data() != ExpectedRgb(info, call.request.seed() + image.image_index())) {
      return absl::StrCat("image ", image.image_index(), " has other bytes");
    }
  }
  return "";
}

// Whether a call may end so by what it is.
bool MayEnd(const SoakCall& call, const SoakEnd& end) {
  const std::string& reason = end.reason;
  switch (end.status.error_code()) {
    case grpc::StatusCode::CANCELLED:
      return call.cancel_after_events.has_value();
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return call.deadline_ms.has_value();
    case grpc::StatusCode::INVALID_ARGUMENT:
      return call.bad;
    case grpc::StatusCode::INTERNAL:
      return call.guilt != Guilt::kNone && (reason == "GENERATION_FAILED" || reason == "INTERNAL");
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      if (reason == "OUT_OF_MEMORY") return call.guilt != Guilt::kNone;
      return !end.accepted && (reason == "QUEUE_FULL" || reason == "CLIENT_QUEUE_FULL") &&
             DetailOf<google::rpc::RetryInfo>(end.status).has_value();
    default:
      return false;
  }
}

}  // namespace

SoakPlan PlanSoak(SoakRandom& random, size_t count, const std::vector<std::string>& models) {
  SoakPlan plan;
  for (size_t i = 0; i < count; ++i) plan.calls.push_back(MakeCall(random, i, models, plan.faults));
  plan.faults.encode_fails_bytes = {kFailingShade};
  plan.faults.encode_throws = {{kThrowingShade, AnyThrow(random)}};
  plan.faults.encode_omits_bytes = {kOmittedShade};
  plan.faults.encode_cuts_bytes = {kCutShade};
  return plan;
}

SoakEnd RunCall(v1::ImageGenerationService::Stub& stub, const SoakCall& call) {
  grpc::ClientContext context;
  context.AddMetadata("x-forwarded-for", call.principal);
  const absl::Duration patience =
      call.deadline_ms.has_value() ? absl::Milliseconds(*call.deadline_ms) : kPatience;
  context.set_deadline(absl::ToChronoTime(absl::Now() + patience));
  SoakEnd end;
  if (call.unary) {
    RunUnary(stub, context, call, end);
  } else {
    RunStream(stub, context, call, end);
  }
  end.reason = ReasonIn(end.status);
  return end;
}

std::string WrongWith(const SoakCall& call, const SoakEnd& end,
                      const std::set<std::string>& server_ends) {
  if (end.status.ok()) {
    if (call.bad) return "it was bad, and taken";
    if (call.guilt == Guilt::kCertain) return "it was guilty, and did not fail";
    return WrongWithImages(call, end);
  }
  // Who was accepted is served to the end, but for a device that is lost.
  const bool promised = end.accepted && end.reason == "DRAINING";
  if (server_ends.contains(end.reason) && !promised) return "";
  // A call that meets the closing of the port is gRPC's to end, and 1.51 cancels it.
  const bool closed = (end.status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                       end.status.error_code() == grpc::StatusCode::CANCELLED) &&
                      end.reason.empty() && !end.accepted;
  if (closed && !server_ends.empty()) return "";
  if (MayEnd(call, end)) return "";
  return absl::StrCat("code ", end.status.error_code(), " ", end.reason, ": ",
                      end.status.error_message());
}

}  // namespace hmar
