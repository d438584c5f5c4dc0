#include "model/model.h"

#include "base/error.h"

namespace pocketr1 {

std::size_t Model::weight_bytes() const {
  std::size_t total = 0;
  for (const TensorRef& tensor : weights_.store().tensors) {
    const std::uint64_t cols = tensor.shape.size() == 2 ? tensor.shape[1] : tensor.shape[0];
    for (const PartRef& part : tensor.parts) {
      total += packed_size(tensor.format, tensor.shape.size() == 2 ? part.rows : 1, cols).total();
    }
  }
  return total;
}

void Model::set_low_rank(const std::string& tensor, std::shared_ptr<const LowRank> addend) {
  LinearLayer& layer = weights_.linear(tensor);
  if (addend && (addend->rank == 0 || addend->a.size() != addend->rank * layer.cols() ||
                 addend->b.size() != addend->rank * layer.rows())) {
    throw Error("usage-adapter", tensor,
                "A must be (rank, " + std::to_string(layer.cols()) + ") and B (" +
                    std::to_string(layer.rows()) + ", rank)");
  }
  layer.set_low_rank(std::move(addend));
}

std::shared_ptr<Model> open_model(const Bundle& bundle) {
  try {
    return std::make_shared<Model>(parse_model_spec(bundle.model_spec()), bundle.weights());
  } catch (const Error& error) {
    if (error.code() != "json-invalid" && error.code() != "bundle-invalid") throw;
    throw Error("bundle-invalid", bundle.name(), error.what());
  }
}

}  // namespace pocketr1
