// The Python module kompakt._native: arrays in, arrays out, errors translated. No logic.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/checked.h"
#include "base/error.h"
#include "format/reader.h"
#include "runtime/engine.h"

namespace nb = nanobind;

namespace {

using Input = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;

kompakt::Program read(const nb::bytes& data) {
  const auto* bytes = static_cast<const uint8_t*>(data.data());
  const size_t size = data.size();
  const nb::gil_scoped_release release;
  return kompakt::read_program(bytes, size);
}

std::string shape_text(const std::string& batch, const std::vector<size_t>& shape) {
  std::string text = "(" + batch;
  for (const size_t extent : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + ")";
}

void check_input(const Input& x, const std::vector<size_t>& expected) {
  if (reinterpret_cast<uintptr_t>(x.data()) % alignof(float) != 0)
    throw kompakt::UsageError("input: expected an array at an address that is a multiple of 4; pass a copy");
  bool fits = x.ndim() == expected.size() + 1;
  for (size_t i = 0; fits && i < expected.size(); ++i) fits = x.shape(i + 1) == expected[i];
  if (fits) return;
  std::vector<size_t> found;
  for (size_t i = 0; i < x.ndim(); ++i) found.push_back(x.shape(i));
  throw kompakt::UsageError("input: expected a float32 array of shape " + shape_text("N", expected) + ", got " +
                            shape_text("", found));
}

template <typename T>
nb::object owned_array(std::unique_ptr<T[]> data, const std::vector<size_t>& shape) {
  T* start = data.get();
  const nb::capsule owner(start, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  data.release();
  return nb::cast(nb::ndarray<nb::numpy, T>(start, shape.size(), shape.data(), owner));
}

nb::object run(const kompakt::Engine& engine, const Input& x) {
  check_input(x, engine.input_shape());
  std::vector<size_t> shape = {x.shape(0)};
  shape.insert(shape.end(), engine.output_shape().begin(), engine.output_shape().end());
  std::unique_ptr<float[]> y(new float[kompakt::checked_product(shape, "output")]);
  {
    const nb::gil_scoped_release release;
    engine.run(x.data(), x.shape(0), y.get());
  }
  return owned_array(std::move(y), shape);
}

template <typename T>
nb::object as_array(const kompakt::NamedValue& value) {
  std::unique_ptr<T[]> copy(new T[value.bytes.size() / sizeof(T)]);
  std::copy(value.bytes.begin(), value.bytes.end(), reinterpret_cast<uint8_t*>(copy.get()));
  return owned_array(std::move(copy), value.shape);
}

nb::dict values(const kompakt::Engine& engine, const Input& x) {
  check_input(x, engine.input_shape());
  std::vector<kompakt::NamedValue> all;
  {
    const nb::gil_scoped_release release;
    all = engine.values(x.data(), x.shape(0));
  }
  nb::dict result;
  for (const kompakt::NamedValue& value : all) {
    const nb::str name(value.name.c_str());
    switch (value.kind) {
      case kompakt::Kind::F32: result[name] = as_array<float>(value); break;
      case kompakt::Kind::Acc: result[name] = as_array<int32_t>(value); break;
      case kompakt::Kind::Code: result[name] = as_array<uint8_t>(value); break;
    }
  }
  return result;
}

nb::list profile(const kompakt::Engine& engine, const Input& x, size_t repetitions) {
  check_input(x, engine.input_shape());
  if (x.shape(0) != 1 || repetitions < 1)
    throw kompakt::UsageError("profile: expected one input and at least one repetition");
  std::vector<kompakt::StageTime> times;
  {
    const nb::gil_scoped_release release;
    times = engine.profile(x.data(), repetitions);
  }
  nb::list rows;
  for (const kompakt::StageTime& time : times) {
    nb::dict row;
    row["node"] = time.node;
    row["seconds"] = time.seconds;
    rows.append(row);
  }
  return rows;
}

nb::list kernels(const kompakt::Engine& engine) {
  nb::list rows;
  for (const kompakt::KernelReport& report : engine.kernels()) {
    nb::dict row;
    row["node"] = report.node;
    row["op"] = report.op;
    row["kernel"] = report.kernel;
    row["types"] = report.types;
    row["isa"] = report.isa;
    row["reason"] = report.reason;
    row["macs"] = report.macs;
    rows.append(row);
  }
  return rows;
}

nb::list kernel_table() {
  nb::list rows;
  for (const kompakt::KernelRow& kernel : kompakt::kernel_table()) {
    nb::dict row;
    row["kernel"] = kernel.name;
    row["types"] = kernel.types;
    row["isa"] = kernel.isa;
    rows.append(row);
  }
  return rows;
}

nb::dict cpu_features() {
  nb::dict features;
  for (const auto& [name, has] : kompakt::cpu_features()) features[name.c_str()] = has;
  return features;
}

// Of a file of several bit-widths: the highest.
void init_engine(kompakt::Engine* self, const nb::bytes& data, size_t threads, const std::string& isa,
                 const std::string& prefer) {
  kompakt::Program program = read(data);
  const nb::gil_scoped_release release;
  new (self) kompakt::Engine(std::move(program), {threads, isa, prefer});
}

// An engine for every bit-width, highest first; the file is read once.
nb::list engines(const nb::bytes& data, size_t threads, const std::string& isa, const std::string& prefer) {
  kompakt::Program program = read(data);
  std::vector<std::pair<int, std::unique_ptr<kompakt::Engine>>> made;
  {
    const nb::gil_scoped_release release;
    const kompakt::EngineOptions options{threads, isa, prefer};
    std::vector<kompakt::Program> variants = std::move(program.variants);
    made.emplace_back(program.bits, std::make_unique<kompakt::Engine>(std::move(program), options));
    for (kompakt::Program& variant : variants) {
      const int bits = variant.bits;
      made.emplace_back(bits, std::make_unique<kompakt::Engine>(std::move(variant), options));
    }
  }
  nb::list result;
  for (auto& [bits, engine] : made) result.append(nb::make_tuple(bits, nb::cast(std::move(engine))));
  return result;
}

// C++ errors become the library's own classes.
void translate(const std::exception_ptr& error, void*) {
  try {
    std::rethrow_exception(error);
  } catch (const kompakt::ArtifactError& e) {
    const nb::object type = nb::module_::import_("kompakt._core.errors").attr("ArtifactError");
    PyErr_SetObject(type.ptr(), type(e.what(), e.kind()).ptr());
  } catch (const kompakt::UsageError& e) {
    const nb::object type = nb::module_::import_("kompakt._core.errors").attr("InputError");
    PyErr_SetObject(type.ptr(), type(e.what()).ptr());
  }
}

}  // namespace

NB_MODULE(_native, module) {
  module.doc() = "Kompakt's native engine; use kompakt.load.";
  nb::register_exception_translator(translate);

  nb::class_<kompakt::Engine>(module, "Engine", "A loaded program.")
      .def("__init__", init_engine, nb::arg("data"), nb::arg("threads") = 1, nb::arg("isa") = "",
           nb::arg("prefer") = "",
           "Verify and pack `data`; `isa` forces a level, `prefer` a kernel family where it is legal.")
      .def("run", run, nb::arg("x").noconvert(), "float32 (N, ...) in C order to float32 (N, ...).")
      .def("values", values, nb::arg("x").noconvert(), "Every value by name, computed without fusion.")
      .def("profile", profile, nb::arg("x").noconvert(), nb::arg("repetitions"),
           "Seconds of every stage for one input, the fastest of the repetitions.")
      .def("kernels", kernels, "The kernel of every conv2d and linear node.")
      .def_prop_ro("input_shape", [](const kompakt::Engine& e) { return nb::tuple(nb::cast(e.input_shape())); })
      .def_prop_ro("output_shape", [](const kompakt::Engine& e) { return nb::tuple(nb::cast(e.output_shape())); })
      .def_prop_ro("metadata", &kompakt::Engine::metadata)
      .def_prop_ro("threads", &kompakt::Engine::threads)
      .def_prop_ro("isa", &kompakt::Engine::isa);

  module.def("engines", engines, nb::arg("data"), nb::arg("threads") = 1, nb::arg("isa") = "", nb::arg("prefer") = "",
             "(bit-width, Engine) of every bit-width of a file, highest first; 0 where there is one.");
  module.def("verify", [](const nb::bytes& data) { read(data); }, nb::arg("data"),
             "Check a whole file; raises ArtifactError.");
  module.def("cpu_features", cpu_features, "CPU features that kernels may use, by name.");
  module.def("isa_levels", kompakt::isa_levels, "Instruction set levels of this CPU, slowest first.");
  module.def("kernel_table", kernel_table, "All kernels of all levels.");
}
