#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "model/checkpoint.h"
#include "model/pickle.h"
#include "model/state_dict.h"
#include "tests/model/weight_files.h"

namespace hmar {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Golden(const std::string& name) { return "tests/golden/pth/" + name; }

// The message of the INVALID_ARGUMENT that opening `path` must give.
std::string Error(const std::string& path) {
  const absl::Status status = OpenPth(path).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << path << ": " << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(path + ": "));
  return std::string(status.message());
}

std::vector<uint8_t> Bytes(const Checkpoint& checkpoint, const std::string& name) {
  std::vector<uint8_t> buffer;
  const auto bytes = checkpoint.Read(name, &buffer);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return {bytes->begin(), bytes->end()};
}

template <typename T>
std::vector<T> As(const Checkpoint& checkpoint, const std::string& name) {
  const std::vector<uint8_t> bytes = Bytes(checkpoint, name);
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// ---------------------------------------------------------------- files of the real torch.save

class TorchSavedTensors : public ::testing::Test {
 protected:
  void SetUp() override {
    auto file = OpenPth(Golden("tensors.pth"));
    ASSERT_TRUE(file.ok()) << file.status();
    file_ = *std::move(file);
  }

  std::unique_ptr<Checkpoint> file_;
};

TEST_F(TorchSavedTensors, HaveTheirTypesAndShapes) {
  const auto& tensors = file_->tensors();
  EXPECT_EQ(tensors.size(), 17u);
  const std::vector<std::pair<std::string, DType>> types = {
      {"f32", DType::kFloat32}, {"f16", DType::kFloat16}, {"bf16", DType::kBFloat16},
      {"f64", DType::kFloat64}, {"i64", DType::kInt64},   {"i32", DType::kInt32},
      {"i16", DType::kInt16},   {"i8", DType::kInt8},     {"u8", DType::kUInt8},
      {"bool", DType::kBool}};
  for (const auto& [name, dtype] : types) EXPECT_EQ(tensors.at(name).dtype, dtype) << name;
  EXPECT_THAT(tensors.at("f32").shape, ElementsAre(2, 3));
  EXPECT_THAT(tensors.at("scalar").shape, IsEmpty());
  EXPECT_THAT(tensors.at("empty").shape, ElementsAre(0, 3));
  EXPECT_THAT(tensors.at("transposed").shape, ElementsAre(2, 3));
}

TEST_F(TorchSavedTensors, HaveTheirValuesInEveryType) {
  EXPECT_THAT(As<float>(*file_, "f32"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(As<uint16_t>(*file_, "f16"), ElementsAre(0, 0x3c00, 0x4000, 0x4200));
  EXPECT_THAT(As<uint16_t>(*file_, "bf16"), ElementsAre(0, 0x3f80, 0x4000, 0x4040));
  EXPECT_THAT(As<double>(*file_, "f64"), ElementsAre(0, 1));
  EXPECT_THAT(As<int64_t>(*file_, "i64"), ElementsAre(0, 1, 2));
  EXPECT_THAT(As<int32_t>(*file_, "i32"), ElementsAre(0, 1, 2));
  EXPECT_THAT(As<int16_t>(*file_, "i16"), ElementsAre(0, 1, 2));
  EXPECT_THAT(As<int8_t>(*file_, "i8"), ElementsAre(0, 1, 2));
  EXPECT_THAT(As<uint8_t>(*file_, "u8"), ElementsAre(0, 1, 2));
  EXPECT_THAT(As<uint8_t>(*file_, "bool"), ElementsAre(0, 1));
  EXPECT_THAT(As<float>(*file_, "scalar"), ElementsAre(7));
  EXPECT_THAT(As<float>(*file_, "parameter"), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(As<float>(*file_, "empty"), IsEmpty());
}

TEST_F(TorchSavedTensors, AreGatheredFromViewsOfSharedAndTransposedStorages) {
  EXPECT_THAT(As<float>(*file_, "transposed"), ElementsAre(0, 2, 4, 1, 3, 5));
  EXPECT_THAT(As<float>(*file_, "head"), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(As<float>(*file_, "tail"), ElementsAre(4, 5, 6, 7, 8, 9));
  EXPECT_THAT(As<float>(*file_, "every_other"), ElementsAre(1, 3, 5, 7, 9));
}

TEST(Pth, ReadsAModulesStateDictWithItsMetadata) {
  const auto file = OpenPth(Golden("module.pth"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT((*file)->tensors().at("weight").shape, ElementsAre(3, 2));
  EXPECT_THAT((*file)->tensors().at("bias").shape, ElementsAre(3));
  EXPECT_THAT(Floats(**file, "weight"),
              Each(::testing::AllOf(::testing::Gt(-1), ::testing::Lt(1))));
}

TEST(Pth, ReadsOtherPicklingProtocols) {
  const auto file = OpenPth(Golden("protocol4.pth"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(Floats(**file, "weight"), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(Pth, FindsAStateDictUnderAUsualName) {
  const auto file = OpenPth(Golden("wrapped.pth"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(Floats(**file, "weight"), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(Pth, RefusesWhatIsNoStateDict) {
  EXPECT_THAT(Error(Golden("ambiguous.pth")), HasSubstr("just one of"));
  EXPECT_THAT(Error(Golden("mixed.pth")), HasSubstr("entry \"epoch\" is none"));
  EXPECT_THAT(Error(Golden("expanded.pth")), HasSubstr("must be saved contiguous"));
  EXPECT_THAT(Error(Golden("legacy.pth")), HasSubstr("before 1.6"));
  EXPECT_THAT(Error(Golden("whole_module.pth")), HasSubstr("\"torch.nn.modules.linear.Linear\""));
}

TEST(Pth, TellsAMissingFileFromAFolder) {
  EXPECT_EQ(OpenPth("tests/golden/pth/none.pth").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(OpenPth("tests/golden/pth").status().code(), absl::StatusCode::kInvalidArgument);
}

// ---------------------------------------------------------------- files made to mislead

class CraftedPth : public ::testing::Test {
 protected:
  // A file with this pickle and 16 bytes of data under the key "0".
  std::string File(const std::string& pickle) {
    return folder_.Write("crafted.pth", TorchZip(pickle, {{"0", std::string(16, '\0')}}));
  }

  std::string FileOfTensor(const std::string& tensor) {
    return File(pickled::Program(pickled::Dict({{"w", tensor}})));
  }

  const std::string storage_ = pickled::Storage("FloatStorage", "0", 4);
  TempFolder folder_;
};

TEST_F(CraftedPth, IsReadWhereSound) {
  const auto file = OpenPth(FileOfTensor(pickled::Tensor(storage_, 0, {2, 2}, {2, 1})));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(Floats(**file, "w"), ElementsAre(0, 0, 0, 0));
}

TEST_F(CraftedPth, RunsNoCode) {
  using namespace pickled;  // NOLINT: the pieces read best bare.
  EXPECT_THAT(Error(File(Program(Call(Global("os", "system"), Tuple({Text("touch pwned")}))))),
              AllOf(HasSubstr("\"os.system\""), HasSubstr("pickled code is not run")));
  EXPECT_THAT(Error(File(Program(Global("builtins", "eval")))), HasSubstr("builtins.eval"));
  EXPECT_THAT(Error(File(Program(Text("os") + Text("system") + "\x93"))), HasSubstr("os.system"));
  EXPECT_THAT(Error(File(Program(Text("torch") + Text("load") + "\x93"))), HasSubstr("torch.load"));
  // INST, OBJ, NEWOBJ, EXT1: other ways to make objects.
  for (const char opcode : {'i', 'o', '\x81', '\x82'}) {
    EXPECT_THAT(Error(File(Program(std::string(1, opcode)))), HasSubstr("no state dict needs"));
  }
}

TEST_F(CraftedPth, IsRefusedWhereAViewLeavesItsStorage) {
  using pickled::Tensor;
  const std::string limit = "its storage has 4 elements";
  EXPECT_THAT(Error(FileOfTensor(Tensor(storage_, 1, {4}, {1}))), HasSubstr(limit));
  EXPECT_THAT(Error(FileOfTensor(Tensor(storage_, 0, {5}, {1}))), HasSubstr(limit));
  EXPECT_THAT(Error(FileOfTensor(Tensor(storage_, 0, {2}, {4}))), HasSubstr(limit));
  EXPECT_THAT(Error(FileOfTensor(Tensor(storage_, INT64_MAX, {1}, {1}))), HasSubstr(limit));
  EXPECT_THAT(Error(FileOfTensor(Tensor(storage_, -1, {1}, {1}))), HasSubstr("impossible"));
  EXPECT_THAT(Error(FileOfTensor(Tensor(storage_, 0, {2}, {-1}))), HasSubstr("impossible"));
  EXPECT_THAT(Error(FileOfTensor(Tensor(storage_, 0, {-2}, {1}))), HasSubstr("impossible"));
  EXPECT_THAT(Error(FileOfTensor(Tensor(storage_, 0, {2, 2}, {1}))), HasSubstr("impossible"));
  EXPECT_THAT(Error(FileOfTensor(Tensor(storage_, 0, {3}, {INT64_MAX}))), HasSubstr("impossible"));
  EXPECT_THAT(Error(FileOfTensor(Tensor(storage_, 0, {4}, {0}))), HasSubstr("saved contiguous"));
}

TEST_F(CraftedPth, IsRefusedWhereAStorageIsNotWhatTheArchiveHolds) {
  using pickled::Storage;
  using pickled::Tensor;
  const auto tensor_in = [&](const std::string& storage) {
    return Error(FileOfTensor(Tensor(storage, 0, {1}, {1})));
  };
  EXPECT_THAT(tensor_in(Storage("FloatStorage", "0", 5)),
              HasSubstr("of 16 bytes; its storage takes 20"));
  EXPECT_THAT(tensor_in(Storage("FloatStorage", "0", 3)), HasSubstr("takes 12"));
  EXPECT_THAT(tensor_in(Storage("DoubleStorage", "0", 4)), HasSubstr("takes 32"));
  EXPECT_THAT(tensor_in(Storage("FloatStorage", "1", 4)), HasSubstr("which is missing"));
  EXPECT_THAT(tensor_in(Storage("FloatStorage", "../data.pkl", 4)), HasSubstr("which is missing"));
  EXPECT_THAT(tensor_in(Storage("FloatStorage", "0", -4)), HasSubstr("-4 elements"));
  EXPECT_THAT(tensor_in(Storage("FloatStorage", "0", INT64_MAX)), HasSubstr("elements"));
  EXPECT_THAT(tensor_in(Storage("QInt8Storage", "0", 16)), HasSubstr("torch.QInt8Storage"));
  EXPECT_THAT(tensor_in("N"), HasSubstr("has no storage"));
}

TEST_F(CraftedPth, IsRefusedWhereThePickleIsBroken) {
  using pickled::Program;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "ends early"},
      {"\x80\x02", "ends early"},
      {"\x80\x02}", "ends early"},
      {"\x80\x01}.", "protocol 1"},
      {"\x80\x06}.", "protocol 6"},
      {Program(""), "stack is empty"},
      {Program("}}"), "leaves values behind"},
      {Program("(}"), "leaves values behind"},
      {Program("0"), "stack is empty"},
      {Program("(0"), "stack is empty"},
      {Program("}u"), "no mark"},
      {Program("}(Nu"), "key without a value"},
      {Program("](NNu"), "no dict"},
      {Program("}Na"), "no list"},
      {Program("NNR"), "calls no function"},
      {Program("NNb"), "no dict"},
      {Program("h\x07"), "memo 7"},
      {Program("q\x01"), "remembers nothing"},
      {Program("\x8a\x09" + std::string(9, '\0')), "integer of 9 bytes"},
      {Program("X\xff\xff\xff\xff"), "ends early"},
      {Program("\x8c\xff"), "ends early"},
      {Program("cos"), "ends early"},
      {Program("N"), "holds no dict of tensors"},
      {Program("}"), "it is empty"},
      {Program("}(NNu"), "entry \"?\" is none"},
  };
  for (const auto& [pickle, fault] : cases) {
    EXPECT_THAT(Error(File(pickle)), HasSubstr(fault)) << ::testing::PrintToString(pickle);
  }
}

TEST_F(CraftedPth, MayHoldADictThatHoldsItself) {
  // d = {}; d["model"] = d
  const std::string body = "}q\x01(" + pickled::Text("model") + "h\x01u";
  EXPECT_THAT(Error(File(pickled::Program(body))), HasSubstr("no dict of tensors"));
}

TEST_F(CraftedPth, MayNestDeeplyAndRememberMuchWithoutHarm) {
  std::string nested = ")";
  for (int i = 0; i < 1'000'000; ++i) nested += '\x85';  // ((((...,),),),)
  EXPECT_THAT(Error(File(pickled::Program(nested))), HasSubstr("no dict of tensors"));
  const std::string remembered = "N" + std::string(1'000'000, '\x94');
  EXPECT_THAT(Error(File(pickled::Program(remembered))), HasSubstr("no dict of tensors"));
  EXPECT_THAT(Error(File(pickled::Program(std::string(1'000'000, '(')))),
              HasSubstr("stack is empty"));
  EXPECT_THAT(Error(File(std::string(9 << 20, 'N'))), HasSubstr("at most 8388608"));
}

// The bytes that push a string of any length.
std::string LongText(const std::string& text) {
  std::string size(4, '\0');
  for (int i = 0; i < 4; ++i) size[i] = static_cast<char>(text.size() >> (8 * i));
  return "X" + size + text;
}

std::string Repeated(const std::string& piece, size_t times) {
  std::string text;
  for (size_t i = 0; i < times; ++i) text += piece;
  return text;
}

TEST_F(CraftedPth, MayNameItsStateDictAMillionTimes) {
  // Memo 1: a tensor, 2: a dict of a million tensors, 3: "model". The dict on top holds one thing
  // that is no tensor, and the dict of memo 2 under the same name 900,000 times.
  const std::string remember = pickled::Tensor(storage_, 0, {4}, {1}) + "q\x01" + "0";
  const std::string inner = "}(" + Repeated("h\x01h\x01", 1'000'000) + "uq\x02" + "0";
  const std::string top = "}(NN" + Repeated("h\x03h\x02", 900'000) + "u";
  const std::string path =
      File(pickled::Program(remember + inner + pickled::Text("model") + "q\x03" + "0" + top));
  // Looking through the dict of memo 2 each time would take a day.
  EXPECT_THAT(Error(path), HasSubstr("a tensor whose name is no string"));
}

TEST_F(CraftedPth, HasTheLastOfSeveralStateDictsOfAName) {
  const auto dict = [&](const std::string& name) {
    return pickled::Dict({{name, pickled::Tensor(storage_, 0, {4}, {1})}});
  };
  const auto file = OpenPth(
      File(pickled::Program(pickled::Dict({{"model", dict("old")}, {"model", dict("new")}}))));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(Floats(**file, "new"), ElementsAre(0, 0, 0, 0));
}

TEST_F(CraftedPth, IsRefusedWhereAStoragesKeyIsLong) {
  // Each of 1,000 tensors would keep the key.
  const std::string key = LongText(std::string(3 << 20, 'k')) + "q\x01" + "0";
  const std::string storage = "(" + pickled::Text("storage") +
                              pickled::Global("torch", "FloatStorage") + "h\x01" +
                              pickled::Text("cpu") + pickled::Int(4) + "tQ";
  std::vector<std::pair<std::string, std::string>> tensors;
  for (int i = 0; i < 1'000; ++i) {
    tensors.emplace_back(std::to_string(i), pickled::Tensor(storage, 0, {4}, {1}));
  }
  EXPECT_THAT(Error(File(pickled::Program(key + pickled::Dict(tensors)))),
              HasSubstr("has a storage key of 3145728 bytes; at most 64"));
}

TEST_F(CraftedPth, IsRefusedInAShortMessageWhereAShapeIsLong) {
  const std::string path =
      FileOfTensor(pickled::Tensor(storage_, 0, std::vector<int64_t>(100'000, 1), {1}));
  EXPECT_THAT(Error(path), HasSubstr("strides of at most 16 numbers"));
  EXPECT_LT(Error(path).size(), 1'000u);
}

TEST_F(CraftedPth, IsRefusedWhereItHoldsMoreValuesThanAnyStateDict) {
  const std::string limit = std::to_string(kMaxPickleValues);
  for (const std::string value : {"N", "}", "]", ")"}) {
    const std::string flood = "(" + Repeated(value, kMaxPickleValues) + "t";
    EXPECT_THAT(Error(File(pickled::Program(flood))), HasSubstr("more than " + limit + " values"));
  }
  const std::string memos = "N" + Repeated("\x94", kMaxPickleValues + 1);
  EXPECT_THAT(Error(File(pickled::Program(memos))), HasSubstr("more than " + limit + " memos"));
}

TEST_F(CraftedPth, IsRefusedWhereItsArchiveIsOdd) {
  const std::string pickle =
      pickled::Program(pickled::Dict({{"w", pickled::Tensor(storage_, 0, {4}, {1})}}));
  const std::string data(16, '\0');
  const auto error = [&](const std::vector<std::pair<std::string, std::string>>& entries) {
    return Error(folder_.Write("crafted.pth", Zip(entries)));
  };
  EXPECT_THAT(error({{"a/other", ""}}), HasSubstr("0 entries */data.pkl"));
  EXPECT_THAT(error({{"a/data.pkl", pickle}, {"b/data.pkl", pickle}}), HasSubstr("2 entries"));
  EXPECT_THAT(error({{"a/data.pkl", pickle}, {"a/data/0", data}, {"a/data/0", data}}),
              HasSubstr("is there twice"));
  EXPECT_THAT(error({{"a/data.pkl", pickle}, {"a/data/0", data}, {"a/byteorder", "big"}}),
              HasSubstr("byte order \"big\""));
  EXPECT_THAT(Error(folder_.Write("crafted.pth", "PK but no archive")), HasSubstr("zip archive"));
  EXPECT_THAT(Error(folder_.Write("crafted.pth", "weights")), HasSubstr("is not a zip archive"));
  EXPECT_THAT(Error(folder_.Write("crafted.pth", "")), HasSubstr("is not a zip archive"));
}

TEST_F(CraftedPth, IsRefusedWhereAnEntryIsNoPlainBytesOfTheArchive) {
  const std::string sound = ReadFile(FileOfTensor(pickled::Tensor(storage_, 0, {4}, {1})));
  // The directory's last record.
  const auto error = [&](size_t field, const std::string& value) {
    std::string bytes = sound;
    bytes.replace(bytes.rfind("PK\x01\x02") + field, value.size(), value);
    return Error(folder_.Write("crafted.pth", bytes));
  };
  EXPECT_THAT(error(24, "\xf0\xff\xff\xff"), HasSubstr("claims 4294967280 bytes out of 16"));
  EXPECT_THAT(error(24, "\x0f"), HasSubstr("claims 15 bytes out of 16"));
  EXPECT_THAT(error(10, "\x08"), HasSubstr("is compressed (method 8)"));
  EXPECT_THAT(error(8, "\x01"), HasSubstr("is encrypted"));
}

TEST_F(CraftedPth, ReportsDamagedDataAsDataLoss) {
  const std::string path = FileOfTensor(pickled::Tensor(storage_, 0, {4}, {1}));
  std::string bytes = ReadFile(path);
  bytes[bytes.find("archive/data/0") + 14] = 'x';  // The first byte of the storage.
  const auto file = OpenPth(folder_.Write("crafted.pth", bytes));
  ASSERT_TRUE(file.ok()) << file.status();
  std::vector<uint8_t> buffer;
  const absl::Status status = (*file)->Read("w", &buffer).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("crafted.pth: tensor \"w\": "));
}

TEST_F(CraftedPth, ReportsDamageOutsideEveryView) {
  // Two views of a storage of four elements, of which neither has the last.
  const std::string pickle =
      pickled::Program(pickled::Dict({{"head", pickled::Tensor(storage_, 0, {2}, {1})},
                                      {"next", pickled::Tensor(storage_, 1, {2}, {1})}}));
  std::string bytes = ReadFile(File(pickle));
  bytes[bytes.find("archive/data/0") + 14 + 15] = 'x';  // The last byte of the storage.
  const auto file = OpenPth(folder_.Write("crafted.pth", bytes));
  ASSERT_TRUE(file.ok()) << file.status();
  for (const std::string name : {"head", "next", "head"}) {
    std::vector<uint8_t> buffer;
    EXPECT_EQ((*file)->Read(name, &buffer).status().code(), absl::StatusCode::kDataLoss) << name;
  }
}

TEST_F(CraftedPth, GivesViewsOfOneStorageInAnyOrder) {
  std::vector<float> values(100'000);  // Longer than what is skipped at a time.
  std::iota(values.begin(), values.end(), 0.0f);
  const std::string storage = pickled::Storage("FloatStorage", "0", 100'000);
  const std::string pickle =
      pickled::Program(pickled::Dict({{"first", pickled::Tensor(storage, 0, {2}, {1})},
                                      {"last", pickled::Tensor(storage, 99'998, {2}, {1})},
                                      {"middle", pickled::Tensor(storage, 50'000, {2}, {1})},
                                      {"none", pickled::Tensor(storage, 100'000, {0}, {1})}}));
  const std::string data(reinterpret_cast<const char*>(values.data()), 4 * values.size());
  const auto file = OpenPth(folder_.Write("crafted.pth", TorchZip(pickle, {{"0", data}})));
  ASSERT_TRUE(file.ok()) << file.status();
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Floats(**file, "middle"), ElementsAre(50'000, 50'001));
    EXPECT_THAT(Floats(**file, "none"), IsEmpty());
    EXPECT_THAT(Floats(**file, "last"), ElementsAre(99'998, 99'999));
    EXPECT_THAT(Floats(**file, "first"), ElementsAre(0, 1));
  }
}

TEST_F(CraftedPth, IsRefusedWhereATensorIsThereTwice) {
  const std::string tensor = pickled::Tensor(storage_, 0, {4}, {1});
  EXPECT_THAT(Error(File(pickled::Program(pickled::Dict({{"w", tensor}, {"w", tensor}})))),
              HasSubstr("tensor \"w\" is there twice"));
}

}  // namespace
}  // namespace hmar
