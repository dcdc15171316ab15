#include "model/cuda/picture_pipeline.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/picture.h"
#include "model/cuda/picture_buffers.h"

namespace hmar {
namespace {

Picture CopyPicture(const uint8_t* rgb, uint32_t side) {
  return {side, side, std::vector<uint8_t>(rgb, rgb + size_t{3} * side * side)};
}

// True once the event's work is done; an error of the device comes out here.
absl::StatusOr<bool> Done(cudaEvent_t event) {
  const cudaError_t error = cudaEventQuery(event);
  if (error == cudaErrorNotReady) return false;
  HMAR_CUDA_RETURN_IF_ERROR(error);
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PicturePipeline>> PicturePipeline::Create(
    CudaModel* model, const std::optional<FastPreviewFit>& fast, BeforeDelivery before_delivery) {
  std::unique_ptr<PicturePipeline> pipeline(new PicturePipeline(model, std::move(before_delivery)));
  HMAR_RETURN_IF_ERROR(pipeline->TakeBuffers(fast));
  return pipeline;
}

PicturePipeline::PicturePipeline(CudaModel* model, BeforeDelivery before_delivery)
    : model_(model), before_delivery_(std::move(before_delivery)) {}

PicturePipeline::~PicturePipeline() {
  for (const cudaStream_t stream : {decode_stream_, copy_stream_}) {
    if (stream != nullptr) cudaStreamSynchronize(stream);
  }
  for (const auto& batch : fast_batches_) {
    cudaEventDestroy(batch->made);
    cudaEventDestroy(batch->done);
  }
  for (const auto& batch : feature_batches_) cudaEventDestroy(batch->gathered);
  for (const auto& decode : decodes_) {
    cudaEventDestroy(decode->begin);
    cudaEventDestroy(decode->decoded);
    cudaEventDestroy(decode->done);
  }
  for (const cudaStream_t stream : {decode_stream_, copy_stream_}) {
    if (stream != nullptr) cudaStreamDestroy(stream);
  }
}

absl::Status PicturePipeline::OrderFast(absl::Span<const Order> orders, StepReport* report) {
  while (!orders.empty()) {
    while (free_fast_.empty()) {
      HMAR_CUDA_RETURN_IF_ERROR(cudaEventSynchronize(fast_running_.front()->done));
      HMAR_RETURN_IF_ERROR(Harvest(report));
    }
    FastBatch* batch = free_fast_.back();
    free_fast_.pop_back();
    const size_t count = std::min<size_t>(orders.size(), fast_capacity_);
    HMAR_RETURN_IF_ERROR(RunFast(batch, orders.subspan(0, count)));
    fast_running_.push_back(batch);
    orders.remove_prefix(count);
  }
  return absl::OkStatus();
}

absl::Status PicturePipeline::RunFast(FastBatch* batch, absl::Span<const Order> orders) {
  const cudaStream_t stream = model_->main_stream();
  batch->orders.assign(orders.begin(), orders.end());
  for (size_t i = 0; i < orders.size(); ++i) batch->slots.host[i] = orders[i].slot;
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(batch->slots.device, batch->slots.host,
                                            orders.size() * sizeof(int32_t), cudaMemcpyHostToDevice,
                                            stream));
  kernels::FastPreviewArgs args;
  args.f_hat_PPZ = model_->slots().f_hat_PPZ;
  args.slots_B = batch->slots.device;
  args.B = static_cast<int>(orders.size());
  args.P = model_->config().last_grid();
  args.Z = model_->config().tokenizer.z_channels;
  args.q = q_;
  args.weight = fast_weight_;
  args.bias = fast_bias_;
  args.out_B = batch->device;
  HMAR_CUDA_RETURN_IF_ERROR(kernels::FastPreview(args, stream));
  const size_t side = static_cast<size_t>(q_) * args.P;
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(batch->made, stream));
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamWaitEvent(copy_stream_, batch->made));
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(batch->host, batch->device,
                                            orders.size() * side * side * 3, cudaMemcpyDeviceToHost,
                                            copy_stream_));
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(batch->done, copy_stream_));
  return absl::OkStatus();
}

// The batch that takes the next feature maps of finals (or of previews).
absl::StatusOr<PicturePipeline::FeatureBatch*> PicturePipeline::OpenBatch(bool finals,
                                                                          StepReport* report) {
  std::deque<FeatureBatch*>& queue = finals ? waiting_finals_ : waiting_previews_;
  const auto full = [this](const FeatureBatch* batch) {
    return static_cast<int>(batch->orders.size()) == model_->decoder().max_batch();
  };
  if (!queue.empty() && !full(queue.back())) return queue.back();
  while (free_features_.empty()) {
    HMAR_RETURN_IF_ERROR(Pump());
    HMAR_CUDA_RETURN_IF_ERROR(cudaEventSynchronize(decoding_.front()->done));
    HMAR_RETURN_IF_ERROR(Harvest(report));
  }
  queue.push_back(free_features_.back());
  free_features_.pop_back();
  return queue.back();
}

absl::Status PicturePipeline::OrderFull(absl::Span<const Order> orders, StepReport* report) {
  const auto goes_first = [](const Order& order) {
    return order.final && order.image->waiting_full_previews == 0;
  };
  while (!orders.empty()) {
    const bool finals = goes_first(orders.front());
    HMAR_ASSIGN_OR_RETURN(FeatureBatch * batch, OpenBatch(finals, report));
    const size_t room = model_->decoder().max_batch() - batch->orders.size();
    size_t count = 0;
    for (; count < std::min(room, orders.size()) && goes_first(orders[count]) == finals; ++count) {
      if (!orders[count].final) ++orders[count].image->waiting_full_previews;
    }
    HMAR_RETURN_IF_ERROR(Gather(batch, orders.subspan(0, count)));
    orders.remove_prefix(count);
  }
  return absl::OkStatus();
}

absl::Status PicturePipeline::Gather(FeatureBatch* batch, absl::Span<const Order> orders) {
  const cudaStream_t stream = model_->main_stream();
  const size_t first = batch->orders.size();
  for (const Order& order : orders) {
    batch->slots.host[batch->orders.size()] = order.slot;
    batch->orders.push_back(order);
  }
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(batch->slots.device + first, batch->slots.host + first,
                                            orders.size() * sizeof(int32_t), cudaMemcpyHostToDevice,
                                            stream));
  HMAR_CUDA_RETURN_IF_ERROR(kernels::GatherFeatures(
      model_->slots().f_hat_PPZ, batch->slots.device + first, static_cast<int>(orders.size()),
      model_->features(), batch->features + static_cast<int64_t>(first) * model_->features(),
      stream));
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(batch->gathered, stream));
  return absl::OkStatus();
}

absl::Status PicturePipeline::Pump() {
  while (waiting() && !free_decodes_.empty()) {
    std::deque<FeatureBatch*>& queue =
        waiting_finals_.empty() ? waiting_previews_ : waiting_finals_;
    FeatureBatch* batch = queue.front();
    queue.pop_front();
    Decode* decode = free_decodes_.back();
    free_decodes_.pop_back();
    decoding_.push_back(decode);
    HMAR_RETURN_IF_ERROR(StartDecode(decode, batch));
  }
  return absl::OkStatus();
}

absl::Status PicturePipeline::StartDecode(Decode* decode, FeatureBatch* batch) {
  decode->batch = batch;
  const int B = static_cast<int>(batch->orders.size());
  const int64_t S = model_->config().image_size;
  HMAR_CUDA_RETURN_IF_ERROR(cudaStreamWaitEvent(decode_stream_, batch->gathered));
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(decode->begin, decode_stream_));
  HMAR_CUDA_RETURN_IF_ERROR(
      cudaMemsetAsync(decode->device_failed, 0, B * sizeof(int32_t), decode_stream_));
  HMAR_RETURN_IF_ERROR(model_->decoder().Decode(batch->features, B, decode_stream_));
  HMAR_CUDA_RETURN_IF_ERROR(kernels::PictureBytes({.x_BNC = model_->decoder().pixels_BSS3(),
                                                   .B = B,
                                                   .N = S * S,
                                                   .C = 3,
                                                   .out_BN3 = decode->device,
                                                   .failed_B = decode->device_failed},
                                                  decode_stream_));
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(decode->decoded, decode_stream_));
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(decode->host, decode->device, B * S * S * 3,
                                            cudaMemcpyDeviceToHost, decode_stream_));
  HMAR_CUDA_RETURN_IF_ERROR(cudaMemcpyAsync(decode->failed, decode->device_failed,
                                            B * sizeof(int32_t), cudaMemcpyDeviceToHost,
                                            decode_stream_));
  if (!fast_running_.empty()) {  // An image's FAST previews are done before it is.
    HMAR_CUDA_RETURN_IF_ERROR(cudaStreamWaitEvent(decode_stream_, fast_running_.back()->done));
  }
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventRecord(decode->done, decode_stream_));
  return absl::OkStatus();
}

absl::Status PicturePipeline::Deliver(Decode* decode, StepReport* report) {
  float ms = 0;
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventElapsedTime(&ms, decode->begin, decode->decoded));
  report->decode_seconds += ms / 1000;
  const auto S = static_cast<uint32_t>(model_->config().image_size);
  const uint8_t* rgb = decode->host;
  const int32_t* failed = decode->failed;
  for (const Order& order : decode->batch->orders) {
    if (!order.final) --order.image->waiting_full_previews;
    if (!order.image->gone) DeliverOne(order, *failed != 0, CopyPicture(rgb, S), report);
    rgb += size_t{3} * S * S;
    ++failed;
  }
  decode->batch->orders.clear();
  free_features_.push_back(decode->batch);
  free_decodes_.push_back(decode);
  return absl::OkStatus();
}

// A picture that is not finite, preview or not, fails its image.
void PicturePipeline::DeliverOne(const Order& order, bool failed, Picture picture,
                                 StepReport* report) {
  ImageInFlight& image = *order.image;
  if (failed) {
    image.gone = true;
    report->failures.push_back(
        {image.id, absl::InternalError(absl::StrCat("the decoder's output of scale ", order.scale,
                                                    " is not finite"))});
  } else if (order.final) {
    image.gone = true;
    report->images.push_back({image.id, std::move(picture), std::move(image.tokens)});
  } else {
    report->previews.push_back({image.id, static_cast<uint32_t>(order.scale), std::move(picture)});
  }
}

// What is decoded is looked at first and delivered last: whatever came before it on the main
// stream, its image's FAST previews and its steps' verdicts (the engine orders no picture before it
// has sealed the step), is done by then and goes out before it.
absl::Status PicturePipeline::Harvest(StepReport* report) {
  size_t decoded = 0;
  for (; decoded < decoding_.size(); ++decoded) {
    HMAR_ASSIGN_OR_RETURN(const bool done, Done(decoding_[decoded]->done));
    if (!done) break;
  }
  HMAR_RETURN_IF_ERROR(before_delivery_(report));
  HMAR_RETURN_IF_ERROR(DeliverFast(report));
  for (; decoded > 0; --decoded) {
    Decode* decode = decoding_.front();
    decoding_.pop_front();
    HMAR_RETURN_IF_ERROR(Deliver(decode, report));
  }
  return Pump();
}

absl::Status PicturePipeline::DeliverFast(StepReport* report) {
  const auto side = static_cast<uint32_t>(q_ * model_->config().last_grid());
  while (!fast_running_.empty()) {
    FastBatch* batch = fast_running_.front();
    HMAR_ASSIGN_OR_RETURN(const bool done, Done(batch->done));
    if (!done) break;
    for (size_t i = 0; i < batch->orders.size(); ++i) {
      const Order& order = batch->orders[i];
      if (order.image->gone) continue;
      report->previews.push_back({order.image->id, static_cast<uint32_t>(order.scale),
                                  CopyPicture(batch->host + i * side * side * 3, side)});
    }
    batch->orders.clear();
    fast_running_.pop_front();
    free_fast_.push_back(batch);
  }
  return absl::OkStatus();
}

absl::Status PicturePipeline::Await() {
  HMAR_RETURN_IF_ERROR(Pump());
  const cudaEvent_t first =
      fast_running_.empty() ? decoding_.front()->done : fast_running_.front()->done;
  HMAR_CUDA_RETURN_IF_ERROR(cudaEventSynchronize(first));
  return absl::OkStatus();
}

}  // namespace hmar
