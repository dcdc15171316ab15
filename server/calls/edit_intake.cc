#include "server/calls/edit_intake.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "model/status_macros.h"
#include "server/base/errors.h"
#include "server/wire/status_details.h"

namespace hmar {

EditIntake::EditIntake(const ServiceContext* context, EditChoice edit, const ModelConfig& config,
                       std::string client, std::string field_prefix)
    : context_(context),
      config_(config),
      client_(std::move(client)),
      field_prefix_(std::move(field_prefix)),
      upload_(std::move(edit.upload)),
      edit_(std::move(edit)) {}

absl::Status EditIntake::Start(OnRead on_read) {
  const size_t bytes = EncodedBytes(upload_) + KeptBytes();
  const size_t decoded = DecodedBytes(upload_, context_->limits.upload);
  HMAR_RETURN_IF_ERROR(CheckFits(bytes, decoded));
  HMAR_ASSIGN_OR_RETURN(share_, context_->admission->AdmitUpload(client_, bytes));
  UploadReaders::Ticket ticket = context_->upload_readers->Post(
      {client_, decoded,
       [this, on_read = std::move(on_read)]() mutable { return Read(std::move(on_read)); }});
  {
    absl::MutexLock lock(&mutex_);
    ticket_ = ticket;
  }
  if (cancelled()) Drop(ticket);
  return absl::OkStatus();
}

void EditIntake::Cancel() {
  cancelled_.store(true, std::memory_order_release);
  std::optional<UploadReaders::Ticket> ticket;
  {
    absl::MutexLock lock(&mutex_);
    ticket = ticket_;
  }
  if (ticket.has_value()) Drop(*ticket);
}

void EditIntake::Drop(const UploadReaders::Ticket& ticket) {
  if (!context_->upload_readers->Forget(ticket)) return;
  upload_ = {};
  share_.ShrinkTo(0);
}

// The picture, what the compositor makes of it, keep maps.
size_t EditIntake::KeptBytes() const {
  const auto side = static_cast<size_t>(config_.image_size);
  return side * side * (3 + 4 * sizeof(float)) + static_cast<size_t>(config_.total_tokens());
}

// What would not fit if it were alone: no waiting helps.
absl::Status EditIntake::CheckFits(size_t held_bytes, size_t decoded_bytes) const {
  const auto too_large = [this](size_t bytes, const char* when, size_t limit) {
    return InvalidRequest(
        {{Reason::kImageInvalid, field_prefix_ + "edit.image",
          absl::StrCat("the upload takes ", bytes, " bytes ", when, "; at most ", limit)}});
  };
  const size_t most_held = context_->admission->most_upload_bytes();
  if (held_bytes > most_held) return too_large(held_bytes, "until it is read", most_held);
  const size_t most_decoded = context_->upload_readers->max_upload_bytes();
  if (decoded_bytes > most_decoded) return too_large(decoded_bytes, "decoded", most_decoded);
  return absl::OkStatus();
}

bool EditIntake::Read(OnRead on_read) {
  absl::StatusOr<PreparedEdit> edit = Decode();
  share_.ShrinkTo(edit.ok() ? KeptBytes() : 0);
  const bool whole = edit.ok();
  on_read(std::move(edit));
  return whole;
}

absl::StatusOr<PreparedEdit> EditIntake::Decode() {
  const EditUpload upload = std::exchange(upload_, {});
  const absl::Time start = context_->clock->Now();
  const auto given_up = [this] { return cancelled() || context_->upload_readers->stopping(); };
  absl::StatusOr<PreparedEdit> edit = absl::CancelledError("cancelled before it was read");
  if (!given_up()) {  // Before there is room for it.
    edit = PrepareEdit(upload, edit_, config_, context_->limits.upload, field_prefix_, given_up);
  }
  if (absl::IsCancelled(edit.status())) {
    if (cancelled()) return edit;
    return ErrorOf(Reason::kDraining, "the server is going down and had not read the upload");
  }
  if (context_->metrics != nullptr) context_->metrics->UploadRead(context_->clock->Now() - start);
  return edit;
}

}  // namespace hmar
