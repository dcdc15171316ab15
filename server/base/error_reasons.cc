#include "server/base/error_reasons.h"

#include <array>

namespace hmar {
namespace {

using Code = absl::StatusCode;

constexpr std::array kTable = {
    ReasonRow{Reason::kFieldMissing, "FIELD_MISSING", Code::kInvalidArgument,
              "A field that must be set is not."},
    ReasonRow{Reason::kFieldOutOfRange, "FIELD_OUT_OF_RANGE", Code::kInvalidArgument,
              "A value lies outside its limits; the description gives both."},
    ReasonRow{Reason::kFieldConflict, "FIELD_CONFLICT", Code::kInvalidArgument,
              "Two fields exclude each other."},
    ReasonRow{Reason::kUnknownEnumValue, "UNKNOWN_ENUM_VALUE", Code::kInvalidArgument,
              "An enum holds a number that this server does not know."},
    ReasonRow{Reason::kUnknownClass, "UNKNOWN_CLASS", Code::kInvalidArgument,
              "The model has no such class, or several that are called so."},
    ReasonRow{Reason::kRequestIdInvalid, "REQUEST_ID_INVALID", Code::kInvalidArgument,
              "The request id is longer than 128 bytes or not printable UTF-8."},
    ReasonRow{
        Reason::kSamplingInvalid, "SAMPLING_INVALID", Code::kInvalidArgument,
        "A sampling parameter is out of range or not a finite number, or a mask schedule does "
        "not fit the model."},
    ReasonRow{Reason::kPrefixInvalid, "PREFIX_INVALID", Code::kInvalidArgument,
              "The scale prefix does not fit the model's scales or its codebook."},
    ReasonRow{
        Reason::kImageInvalid, "IMAGE_INVALID", Code::kInvalidArgument,
        "An uploaded image or mask is no picture that is read, damaged or larger than allowed."},
    ReasonRow{Reason::kImageSizeMismatch, "IMAGE_SIZE_MISMATCH", Code::kInvalidArgument,
              "An uploaded image has another size than the model, or a mask than its image."},
    ReasonRow{Reason::kReplyTooLarge, "REPLY_TOO_LARGE", Code::kInvalidArgument,
              "The images would not fit one reply: ask for fewer, or for a stream (Generate)."},
    ReasonRow{Reason::kMessageInvalid, "MESSAGE_INVALID", Code::kInvalidArgument,
              "The request is none that is understood: by its bytes, or over HTTP by its path, "
              "method or headers."},
    ReasonRow{Reason::kKeyMissing, "KEY_MISSING", Code::kUnauthenticated,
              "The server asks for a key and the call has none: authorization: Bearer KEY."},
    ReasonRow{Reason::kKeyUnknown, "KEY_UNKNOWN", Code::kUnauthenticated,
              "The call's key is none of the server's."},
    ReasonRow{Reason::kKeyExpired, "KEY_EXPIRED", Code::kUnauthenticated,
              "The call's key was good until a time that has passed."},
    ReasonRow{Reason::kModelNotAllowed, "MODEL_NOT_ALLOWED", Code::kPermissionDenied,
              "The call's key is not for this model."},
    ReasonRow{Reason::kPriorityNotAllowed, "PRIORITY_NOT_ALLOWED", Code::kPermissionDenied,
              "The call's key is not for so high a priority."},
    ReasonRow{Reason::kModelNotFound, "MODEL_NOT_FOUND", Code::kNotFound,
              "The server holds no model of that name; ListModels tells which it holds."},
    ReasonRow{Reason::kQueueFull, "QUEUE_FULL", Code::kResourceExhausted,
              "Too many images wait; try again after RetryInfo.retry_delay."},
    ReasonRow{Reason::kClientQueueFull, "CLIENT_QUEUE_FULL", Code::kResourceExhausted,
              "Too many images of this client wait; try again after RetryInfo.retry_delay."},
    ReasonRow{Reason::kQuotaImages, "QUOTA_IMAGES", Code::kResourceExhausted,
              "The key's images of this minute are used up; try again after "
              "RetryInfo.retry_delay."},
    ReasonRow{Reason::kTooManyCalls, "TOO_MANY_CALLS", Code::kResourceExhausted,
              "Too many calls are open, in all or of this client; try again after "
              "RetryInfo.retry_delay."},
    ReasonRow{Reason::kUploadBacklog, "UPLOAD_BACKLOG", Code::kResourceExhausted,
              "Too many bytes of uploaded pictures are held, in all or of this client; try again "
              "after RetryInfo.retry_delay."},
    ReasonRow{Reason::kEncoderBacklog, "ENCODER_BACKLOG", Code::kResourceExhausted,
              "Too many finished pictures wait to be encoded, in all or of this client; try again "
              "after RetryInfo.retry_delay."},
    ReasonRow{Reason::kDeliveryBacklog, "DELIVERY_BACKLOG", Code::kResourceExhausted,
              "Too many pictures wait for clients to read them, in all or for this client; try "
              "again after RetryInfo.retry_delay."},
    ReasonRow{Reason::kClientTooSlow, "CLIENT_TOO_SLOW", Code::kResourceExhausted,
              "The client read its stream too slowly for the server to hold what was unsent."},
    ReasonRow{Reason::kOutOfMemory, "OUT_OF_MEMORY", Code::kResourceExhausted,
              "The device had no memory for this image, even in a step of its own, or the server "
              "had none for its upload or its picture."},
    ReasonRow{Reason::kNotReady, "NOT_READY", Code::kUnavailable,
              "The server has just started and makes its probe images; try again after "
              "RetryInfo.retry_delay, or watch its health."},
    ReasonRow{Reason::kDraining, "DRAINING", Code::kUnavailable,
              "The server is going down; another one, or this one after a restart, will answer."},
    ReasonRow{Reason::kDeviceLost, "DEVICE_LOST", Code::kUnavailable,
              "A device of the server failed for good or hangs, and the server is ending; another "
              "one, or "
              "this one after a restart, will answer."},
    ReasonRow{Reason::kDeadlineUnreachable, "DEADLINE_UNREACHABLE", Code::kDeadlineExceeded,
              "By the server's estimate the request would miss its deadline, and it asked to be "
              "refused then (ON_DEADLINE_FAIL), or no early end would meet it "
              "(ON_DEADLINE_DEGRADE)."},
    ReasonRow{Reason::kDeadlineExceeded, "DEADLINE_EXCEEDED", Code::kDeadlineExceeded,
              "The call's deadline passed before its last image."},
    ReasonRow{Reason::kCancelled, "CANCELLED", Code::kCancelled, "The client cancelled the call."},
    ReasonRow{Reason::kGenerationFailed, "GENERATION_FAILED", Code::kInternal,
              "The model could not make an image of the request; the message says why."},
    ReasonRow{Reason::kEncodingFailed, "ENCODING_FAILED", Code::kInternal,
              "A finished picture could not be written in the format asked for."},
    ReasonRow{Reason::kInternal, "INTERNAL", Code::kInternal,
              "A fault of the server; please report it with the request id."},
};

}  // namespace

absl::Span<const ReasonRow> ReasonTable() { return kTable; }

const ReasonRow& RowOf(Reason reason) { return kTable[static_cast<size_t>(reason)]; }

}  // namespace hmar
