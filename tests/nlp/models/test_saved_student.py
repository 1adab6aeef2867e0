"""A saved student is what users of transformers expect: a pipeline with a chat template, and a card that the hub reads."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from huggingface_hub import ModelCard

from distill_core.data import Loader, TensorData
from distill_core.errors import DistillError
from distill_core.experiment import Evaluation, Experiment, Metric, Stage, Term
from distill_core.losses import TokenCELoss
from distill_core.preview import preview
from distill_core.train import Trainer
from distill_nlp.metrics import Perplexity
from distill_nlp.models import SavePretrained, student_from, with_lora

from ..chat_tokenizers import chat_tokenizer, template

INPUTS = {"student": "student:out.logits", "target": "batch.target"}


def experiment(student, teacher, *callbacks):
    tokens = torch.randint(3, 90, (4, 7))
    loader = Loader(TensorData({"input_ids": tokens[:, :-1], "target": tokens[:, 1:]}), 2)
    feed = {"student": {"input_ids": "batch.input_ids"}}
    stage = Stage(
        epochs=1,
        losses={"ce": Term(loss=TokenCELoss(), inputs=INPUTS)},
        optimizer=lambda groups: torch.optim.SGD(groups, lr=0.1),
        feed=feed,
    )
    metric = Metric(metric=Perplexity(), inputs={"preds": "student:out.logits", "target": "batch.target"})
    return Experiment(
        models={"teacher": teacher, "student": student},
        data={"train": loader},
        stages=[stage],
        callbacks=callbacks,
        about="a small student",
        test=Evaluation(loader=loader, metrics={"perplexity": metric}),
    )


@pytest.fixture
def teacher(decoder, family):
    model = decoder(family, vocab_size=320, eos_token_id=2)
    model.config._name_or_path = model.name_or_path = "someone/large-model"
    model.generation_config.temperature, model.generation_config.do_sample = 0.3, True
    return model


def test_a_pipeline_chats_with_the_saved_student(teacher, tmp_path):
    tokenizer = chat_tokenizer(chat_template=template())
    student = student_from(teacher, [0])
    saving = SavePretrained(tokenizer, license="apache-2.0", datasets=["someone/chats"])
    results = Trainer(experiment(student, teacher, saving), output=tmp_path).fit()
    folder = tmp_path / "student"
    pipe = transformers.pipeline("text-generation", str(folder), device="cpu")
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    given = pipe(chat, max_new_tokens=4, do_sample=False)[0]["generated_text"]
    assert given[:-1] == chat
    assert given[-1]["role"] == "assistant"
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    made = student.eval().generate(ids, max_new_tokens=4, do_sample=False, pad_token_id=2)[0, ids.shape[1] :]
    assert given[-1]["content"] == tokenizer.decode(made, skip_special_tokens=True)
    assert pipe.model.generation_config.temperature == 0.3  # the teacher's
    assert pipe.model.config.use_cache
    card = ModelCard.load(folder / "README.md")
    assert card.data.to_dict() == {
        "license": "apache-2.0",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "base_model": "someone/large-model",
        "datasets": ["someone/chats"],
        "tags": ["knowledge-distillation", "distill"],
        "model-index": card.data.to_dict()["model-index"],
    }
    (result,) = card.data.eval_results
    assert (result.metric_type, result.dataset_type) == ("perplexity", "someone/chats")
    assert result.metric_value == pytest.approx(results["test"]["perplexity"])
    text = card.text
    assert "a small student" in text
    assert f"- teacher: {type(teacher).__name__}, " in text
    assert "- losses: ce" in text
    assert "- train: 4 samples\n" in text


def test_a_card_without_facts_has_no_keys_for_them(decoder, tmp_path):
    Trainer(experiment(decoder("llama"), decoder("llama"), SavePretrained()), output=tmp_path).fit()
    data = ModelCard.load(tmp_path / "student/README.md").data.to_dict()
    assert not {"license", "base_model", "datasets"} & data.keys()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # from PEFT
def test_merged_adapters_are_saved_as_a_plain_model(teacher, tmp_path):
    pytest.importorskip("peft")
    student = with_lora(teacher, rank=2, modules=["q_proj"], task="CAUSAL_LM")
    Trainer(experiment(student, teacher, SavePretrained(merge_adapters=True)), output=tmp_path).fit()
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "student")
    ids = torch.arange(12).view(2, 6)
    torch.testing.assert_close(again(ids).logits, student.eval()(ids).logits, rtol=1e-4, atol=1e-4)
    assert "adapter_config.json" not in [path.name for path in (tmp_path / "student").iterdir()]
    assert "adapter" not in json.loads((tmp_path / "student/config.json").read_text())


def tied_at_run_time(decoder):
    model = decoder("llama")
    model.model.layers[1].mlp.up_proj.weight = model.model.layers[0].mlp.up_proj.weight
    return model, SavePretrained()


def without_adapters(decoder):
    return decoder("llama"), SavePretrained(merge_adapters=True)


class Bare(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        return self.model(input_ids)

    def save_pretrained(self, folder):
        raise NotImplementedError


def without_config(decoder):
    return Bare(decoder("llama")), SavePretrained()


def with_invalid_generation(decoder):
    model = decoder("llama")
    model.generation_config.max_new_tokens = -1
    return model, SavePretrained()


def with_a_larger_tokenizer(decoder):
    return decoder("llama"), SavePretrained(chat_tokenizer(chat_template=template()))


UNSAVABLE = {
    tied_at_run_time: "SavePretrained: 'student' cannot be saved: The weights trying to be saved contained shared",
    without_adapters: "SavePretrained: 'student' has no adapters to merge",
    without_config: "SavePretrained: 'student' is a Bare, which has no config",
    with_invalid_generation: "SavePretrained: 'student' cannot be saved: ",
    with_a_larger_tokenizer: "the tokenizer has ",
}


@pytest.mark.parametrize(("make", "message"), UNSAVABLE.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_a_run_that_cannot_save_is_refused_and_found_by_a_preview(decoder, make, message, tmp_path):
    student, saving = make(decoder)
    run = experiment(student, decoder("llama"), saving)
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    with pytest.raises(DistillError) as caught:
        Trainer(run, output=tmp_path).fit()
    assert str(caught.value).startswith(message)
    assert all(torch.equal(before[name], tensor) for name, tensor in student.state_dict().items())
    student, saving = make(decoder)
    problems = preview(experiment(student, decoder("llama"), saving)).problems
    assert any(problem.message.startswith(message) for problem in problems), problems


def test_a_folder_that_cannot_be_written_is_refused_before_training(decoder, tmp_path):
    (tmp_path / "file").touch()
    saving = SavePretrained(folder=tmp_path / "file/student")
    with pytest.raises(DistillError, match=r"the folder .*/file/student cannot be written: Not a directory"):
        Trainer(experiment(decoder("llama"), decoder("llama"), saving), output=tmp_path / "run").fit()
    assert not list(tmp_path.glob("run/student*"))
