#include "server/scheduling/batch_policy.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hmar {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

QueuedImage Queued(ImageId id, size_t model, uint32_t rows) {
  QueuedImage image;
  image.id = id;
  image.model = model;
  image.rows = rows;
  return image;
}

// A PolicyInput that owns what it points to.
struct Scene {
  std::vector<QueuedImage> queued = {};
  std::vector<RunningImage> running = {};
  std::vector<ModelSlots> models = {{8, 0}};
  uint32_t max_step_rows = 100;
  std::optional<size_t> last_model = std::nullopt;

  std::optional<StepChoice> Choose() const {
    return ChooseStep({queued, running, models, max_step_rows, absl::Time(), last_model});
  }
};

TEST(BatchPolicyTest, NothingToDoIsNoStep) {
  EXPECT_FALSE(Scene().Choose().has_value());
  EXPECT_FALSE((Scene{.models = {}}).Choose().has_value());
}

TEST(BatchPolicyTest, EverythingThatFitsSharesOneStep) {
  Scene scene;
  scene.running = {{1, 0, 18, 7}, {2, 0, 9, 7}};
  scene.queued = {Queued(3, 0, 1), Queued(4, 0, 1)};
  const auto choice = scene.Choose();
  EXPECT_THAT(choice->running, ElementsAre(1, 2));
  EXPECT_THAT(choice->admitted, ElementsAre(3, 4));
}

TEST(BatchPolicyTest, QueuedImagesJoinInOrderUpToTheFreeSlots) {
  Scene scene;
  scene.models = {{2, 0}};
  scene.queued = {Queued(5, 0, 1), Queued(6, 0, 1), Queued(7, 0, 1)};
  EXPECT_THAT(scene.Choose()->admitted, ElementsAre(5, 6));
}

TEST(BatchPolicyTest, NobodyOvertakesAQueuedImageThatDoesNotFit) {
  Scene scene;
  scene.running = {{1, 0, 60, 1}};
  scene.queued = {Queued(2, 0, 50), Queued(3, 0, 1)};
  const auto choice = scene.Choose();
  EXPECT_THAT(choice->running, ElementsAre(1));
  EXPECT_THAT(choice->admitted, IsEmpty());
}

TEST(BatchPolicyTest, WhatTheBudgetLeftOutGoesFirstNextTime) {
  Scene scene;
  scene.running = {{1, 0, 60, 5}, {2, 0, 60, 5}, {3, 0, 30, 5}};
  EXPECT_THAT(scene.Choose()->running, ElementsAre(1, 3));  // 3 fills the gap that 2 cannot.
  scene.running[0].last_step = scene.running[2].last_step = 6;
  EXPECT_THAT(scene.Choose()->running, ElementsAre(2, 3));
}

TEST(BatchPolicyTest, NobodyNewJoinsWhileARunningImageIsLeftOut) {
  Scene scene;
  scene.running = {{1, 0, 60, 5}, {2, 0, 60, 5}};
  scene.queued = {Queued(3, 0, 1)};
  EXPECT_THAT(scene.Choose()->admitted, IsEmpty());
}

TEST(BatchPolicyTest, AnImageLargerThanTheBudgetRunsAlone) {
  Scene scene;
  scene.running = {{1, 0, 400, 3}, {2, 0, 1, 4}};
  scene.queued = {Queued(3, 0, 0)};
  EXPECT_THAT(scene.Choose()->running, ElementsAre(1));
  EXPECT_THAT(scene.Choose()->admitted, IsEmpty());
  scene.running.clear();
  scene.queued = {Queued(4, 0, 400), Queued(5, 0, 1)};
  EXPECT_THAT(scene.Choose()->admitted, ElementsAre(4));
}

TEST(BatchPolicyTest, AModelsOwnBoundOnRowsCountsToo) {
  Scene scene;
  scene.models = {{8, 0, /*max_step_rows=*/20}};
  scene.running = {{1, 0, 15, 1}, {2, 0, 15, 1}};
  EXPECT_THAT(scene.Choose()->running, ElementsAre(1));
  scene.models[0].max_step_rows = 1000;
  scene.max_step_rows = 20;
  EXPECT_THAT(scene.Choose()->running, ElementsAre(1));
}

TEST(BatchPolicyTest, ModelsWithWorkTakeTurns) {
  Scene scene;
  scene.models = {{1, 0}, {1, 0}, {0, 0}, {1, 0}};
  scene.queued = {Queued(1, 0, 1), Queued(2, 2, 1)};  // Model 2 has no slot.
  scene.running = {{3, 3, 1, 1}};
  EXPECT_EQ(scene.Choose()->model, 0u);
  scene.last_model = 0;
  EXPECT_EQ(scene.Choose()->model, 3u);
  scene.last_model = 3;
  EXPECT_EQ(scene.Choose()->model, 0u);
}

TEST(BatchPolicyTest, AModelWithNothingButDuePicturesTakesItsTurnToWait) {
  Scene scene;
  scene.models = {{0, 2}, {1, 0}};
  scene.queued = {Queued(1, 0, 1), Queued(2, 1, 1)};
  const auto waits = scene.Choose();
  EXPECT_EQ(waits->model, 0u);
  EXPECT_THAT(waits->running, IsEmpty());
  EXPECT_THAT(waits->admitted, IsEmpty());
  scene.last_model = 0;
  EXPECT_THAT(scene.Choose()->admitted, ElementsAre(2));
}

TEST(BatchPolicyTest, FirstComeLooksAtNeitherPriorityNorDeadlineNorClient) {
  Scene scene;
  scene.models = {{1, 0}};
  scene.queued = {Queued(1, 0, 1), Queued(2, 0, 1)};
  scene.queued[1].priority = 10;
  scene.queued[1].deadline = absl::UnixEpoch();
  scene.queued[1].client = "a";
  EXPECT_THAT(scene.Choose()->admitted, ElementsAre(1));
}

// Random scenes, each checked against the header's invariants.
class RandomScenes : public ::testing::TestWithParam<int> {
 protected:
  uint32_t Pick(uint32_t low, uint32_t high) {
    return std::uniform_int_distribution<uint32_t>(low, high)(random_);
  }

  Scene MakeScene() {
    Scene scene;
    const uint32_t models = Pick(1, 4);
    scene.models.clear();
    for (uint32_t m = 0; m < models; ++m) scene.models.push_back({Pick(0, 4), Pick(0, 1)});
    scene.max_step_rows = Pick(1, 200);
    ImageId id = 1;
    for (uint32_t i = Pick(0, 12); i > 0; --i) {
      scene.running.push_back({id++, Pick(0, models - 1), Pick(0, 120), Pick(0, 20)});
    }
    for (uint32_t i = Pick(0, 12); i > 0; --i) {
      scene.queued.push_back(Queued(id++, Pick(0, models - 1), Pick(0, 120)));
    }
    if (Pick(0, 3) > 0) scene.last_model = Pick(0, models - 1);
    return scene;
  }

  std::mt19937 random_{static_cast<uint32_t>(GetParam())};
};

std::vector<bool> ModelsWithWork(const Scene& scene) {
  std::vector<bool> work;
  for (const ModelSlots& model : scene.models) work.push_back(model.pictures_due > 0);
  for (const RunningImage& image : scene.running) work[image.model] = true;
  for (const QueuedImage& image : scene.queued) {
    if (scene.models[image.model].free_slots > 0) work[image.model] = true;
  }
  return work;
}

void CheckInvariants(const Scene& scene, const StepChoice& choice) {
  // Turns: no model with work lies between the last one and the chosen one.
  const std::vector<bool> work = ModelsWithWork(scene);
  size_t model = scene.last_model ? (*scene.last_model + 1) % work.size() : 0;
  while (!work[model]) model = (model + 1) % work.size();
  EXPECT_EQ(choice.model, model);

  std::map<ImageId, uint32_t> rows_of;
  std::vector<RunningImage> running;
  std::vector<QueuedImage> queued;
  for (const RunningImage& image : scene.running) {
    if (image.model == model) running.push_back(image), rows_of[image.id] = image.rows;
  }
  for (const QueuedImage& image : scene.queued) {
    if (image.model == model) queued.push_back(image), rows_of[image.id] = image.rows;
  }
  uint64_t rows = 0;
  std::set<ImageId> taken;
  for (const auto* ids : {&choice.running, &choice.admitted}) {
    for (ImageId id : *ids) {
      ASSERT_TRUE(rows_of.contains(id)) << id << " is no image of the model";
      EXPECT_TRUE(taken.insert(id).second) << id << " takes part twice";
      rows += rows_of[id];
    }
  }
  // Budget.
  if (taken.size() > 1) {
    EXPECT_LE(rows, scene.max_step_rows);
  }

  // Work-conserving, and the oldest step first.
  bool left_out = false;
  uint64_t oldest = ~uint64_t{0};
  uint64_t oldest_taken = ~uint64_t{0};
  for (const RunningImage& image : running) {
    oldest = std::min(oldest, image.last_step);
    if (taken.contains(image.id)) {
      oldest_taken = std::min(oldest_taken, image.last_step);
      continue;
    }
    left_out = true;
    EXPECT_GT(rows + image.rows, scene.max_step_rows) << image.id << " would have fitted";
  }
  EXPECT_EQ(oldest, oldest_taken);
  EXPECT_EQ(running.empty(), choice.running.empty());

  // Queued images: a prefix of the queue, ended by a bound.
  const size_t admitted = choice.admitted.size();
  for (size_t i = 0; i < admitted; ++i) EXPECT_EQ(choice.admitted[i], queued[i].id);
  EXPECT_LE(admitted, scene.models[model].free_slots);
  if (left_out) {
    EXPECT_EQ(admitted, 0u);
  } else if (admitted < std::min<size_t>(queued.size(), scene.models[model].free_slots)) {
    EXPECT_FALSE(taken.empty());
    EXPECT_GT(rows + queued[admitted].rows, scene.max_step_rows);
  }
}

TEST_P(RandomScenes, KeepEveryInvariant) {
  for (int i = 0; i < 500; ++i) {
    const Scene scene = MakeScene();
    const std::vector<bool> work = ModelsWithWork(scene);
    const auto choice = scene.Choose();
    ASSERT_EQ(choice.has_value(), std::find(work.begin(), work.end(), true) != work.end());
    if (choice) CheckInvariants(scene, *choice);
    if (HasFailure()) FAIL() << "seed " << GetParam() << ", scene " << i;
  }
}

// Plays a closed world to its end: every image gets all its passes, and no running image waits for
// as many steps as its model has slots.
TEST_P(RandomScenes, PlayedOutNobodyStarves) {
  Scene scene = MakeScene();
  for (ModelSlots& model : scene.models) model = {Pick(1, 6), 0};
  const std::vector<ModelSlots> slots = scene.models;
  scene.running.clear();
  scene.queued.clear();
  std::map<ImageId, std::vector<uint32_t>> passes;
  for (ImageId id = 1; id <= 60; ++id) {
    for (uint32_t left = Pick(1, 8); left > 0; --left) passes[id].push_back(Pick(0, 120));
    const size_t model = Pick(0, static_cast<uint32_t>(scene.models.size()) - 1);
    scene.queued.push_back(Queued(id, model, passes[id].front()));
  }
  size_t passes_left = 0;
  for (const auto& [id, list] : passes) passes_left += list.size();

  std::map<size_t, uint64_t> steps_of;  // By model; a step's number is its model's own count.
  while (auto choice = scene.Choose()) {
    const uint64_t step = ++steps_of[choice->model];
    ASSERT_FALSE(choice->running.empty() && choice->admitted.empty());
    for (ImageId id : choice->admitted) {
      auto queued = std::find_if(scene.queued.begin(), scene.queued.end(),
                                 [id](const QueuedImage& image) { return image.id == id; });
      scene.running.push_back({id, queued->model, queued->rows, step - 1});
      scene.queued.erase(queued);
      --scene.models[choice->model].free_slots;
      choice->running.push_back(id);
    }
    std::erase_if(scene.running, [&](RunningImage& image) {
      if (image.model != choice->model) return false;
      if (std::count(choice->running.begin(), choice->running.end(), image.id) == 0) {
        EXPECT_LT(step - image.last_step, slots[image.model].free_slots) << "image " << image.id;
        return false;
      }
      image.last_step = step;
      std::vector<uint32_t>& left = passes[image.id];
      left.erase(left.begin());
      --passes_left;
      if (!left.empty()) image.rows = left.front();
      if (left.empty()) ++scene.models[image.model].free_slots;
      return left.empty();
    });
    scene.last_model = choice->model;
  }
  EXPECT_EQ(passes_left, 0u);
  EXPECT_TRUE(scene.queued.empty());
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomScenes, ::testing::Range(0, 40));

}  // namespace
}  // namespace hmar
