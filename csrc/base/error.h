// The one exception that file content can cause.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace kompakt {

// A defect of an artifact. `kind` is one of the words listed under "Refusals" in docs/format.md; `what()` names what
// was expected, what was found, and where.
class ArtifactError : public std::runtime_error {
 public:
  ArtifactError(std::string kind, const std::string& message) : std::runtime_error(message), kind_(std::move(kind)) {}

  const std::string& kind() const noexcept { return kind_; }

 private:
  std::string kind_;
};

}  // namespace kompakt
