// A spec and its weights; shared by any number of sessions.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "bundle/bundle.h"
#include "model/spec.h"
#include "model/weights.h"

namespace pocketr1 {

class Model {
 public:
  Model(ModelSpec spec, WeightStore store)
      : spec_(std::move(spec)), weights_(spec_, std::move(store)) {}
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const ModelSpec& spec() const { return spec_; }
  const Weights& weights() const { return weights_; }

  // Bytes of all tensors: codes, scales, zero points and their padding.
  std::size_t weight_bytes() const;

  // See Weights::set_resident_limit.
  void set_resident_limit(std::optional<std::size_t> limit, const StreamOptions& options = {}) {
    weights_.set_resident_limit(limit, options);
  }

  // Gives the weight matrix of that name a low-rank addend, or takes it away (nullptr). Not while a
  // session runs a step. Throws Error("usage-tensor", "usage-adapter").
  void set_low_rank(const std::string& tensor, std::shared_ptr<const LowRank> addend);

 private:
  ModelSpec spec_;
  Weights weights_;
};

// The model of a bundle. Throws as Weights and parse_model_spec do, naming bundle.json.
std::shared_ptr<Model> open_model(const Bundle& bundle);

}  // namespace pocketr1
