#ifndef HMAR_SERVER_CALLS_SERVICE_CONTEXT_H_
#define HMAR_SERVER_CALLS_SERVICE_CONTEXT_H_

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/random_source.h"
#include "server/calls/call_admission.h"
#include "server/calls/deliveries.h"
#include "server/calls/doorkeeper.h"
#include "server/calls/encoder_pool.h"
#include "server/calls/mailbox.h"
#include "server/calls/upload_readers.h"
#include "server/operations/access_log.h"
#include "server/operations/metrics.h"
#include "server/scheduling/scheduler.h"
#include "server/transport/receiving_handler.h"
#include "server/wire/model_catalog.h"
#include "server/wire/validation.h"

namespace hmar {

// What every call works with. All of it is thread-safe and outlives the calls.
struct ServiceContext {
  const ModelCatalog* catalog = nullptr;
  Scheduler* scheduler = nullptr;
  EncoderPool* encoder = nullptr;
  UploadReaders* upload_readers = nullptr;
  CallAdmission* admission = nullptr;
  const Doorkeeper* doorkeeper = nullptr;
  const Clock* clock = nullptr;
  RandomSource* random = nullptr;
  Deliveries* deliveries = nullptr;
  Metrics* metrics = nullptr;  // May be null.
  const AccessLog* access_log = nullptr;
  RequestLimits limits;
  MailboxOptions mailbox;
  ReceiveLimits receive_limits;

  ValidationContext validation() const { return {catalog, limits, random}; }
};

}  // namespace hmar

#endif  // HMAR_SERVER_CALLS_SERVICE_CONTEXT_H_
