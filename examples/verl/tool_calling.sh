#!/usr/bin/env bash
# Tool calling on RLLA-4K with GD²PO in verl: the recipe tool-calling, on one node with 8 GPUs.
#
#   pip install 'gd2po[verl]' 'verl[vllm]==0.9.1' && gd2po doctor
#   TRAIN=rlla_4k/train.parquet TEST=rlla_4k/test.parquet bash examples/verl/tool_calling.sh
#
# The data: https://github.com/qiancheng0/ToolRL, dataset/rlla_4k. Arguments go to verl:
#   ... tool_calling.sh +algorithm.gd2po.filtering=hard      another filter
#   ... tool_calling.sh trainer.use_v1=false                 verl's legacy trainer
#   ... tool_calling.sh --cfg job                            print the whole configuration, run nothing
# Afterwards, or while it runs: gd2po diagnose runs/verl-tool-calling
# Several nodes: tool_calling_nodes.sh in this folder.
set -euo pipefail

: "${TRAIN:=rlla_4k/train.parquet}" "${TEST:=rlla_4k/test.parquet}"
: "${MODEL:=Qwen/Qwen2.5-3B-Instruct}" "${RUN:=runs/verl-tool-calling}"
: "${NODES:=1}" "${GPUS:=8}" "${PYTHON:=python3}"

rewards='[tool_call_correctness,tool_call_format,think_length]'

method=(
  algorithm.adv_estimator=gd2po
  "+algorithm.gd2po.reward_keys=$rewards"
  +algorithm.gd2po.snr_threshold=0.8 # as published; filtering=snr is the default
  +algorithm.gd2po.whitening=tokens
  "+algorithm.gd2po.log_folder=$RUN"
  algorithm.use_kl_in_reward=false
)
reward=(
  reward.custom_reward_function.path=pkg://gd2po.integrations.verl.rewards
  reward.custom_reward_function.name=compute_score
  "+reward.custom_reward_function.reward_kwargs.reward_funcs=$rewards"
  +reward.custom_reward_function.reward_kwargs.reward_kwargs.think_length.target_words=512
)
# 512 prompts x 4 rollouts, then 4 updates of 128 prompts each.
data=(
  "data.train_files=$TRAIN"
  "data.val_files=$TEST"
  data.train_batch_size=512
  data.max_prompt_length=2048
  data.max_response_length=1024
  data.filter_overlong_prompts=true
)
policy=(
  "actor_rollout_ref.model.path=$MODEL"
  actor_rollout_ref.model.use_remove_padding=true
  actor_rollout_ref.model.enable_gradient_checkpointing=true
  actor_rollout_ref.actor.optim.lr=1e-6
  actor_rollout_ref.actor.optim.weight_decay=0.01
  actor_rollout_ref.actor.grad_clip=1.0
  actor_rollout_ref.actor.ppo_mini_batch_size=128
  actor_rollout_ref.actor.ppo_epochs=1
  actor_rollout_ref.actor.clip_ratio=0.2
  actor_rollout_ref.actor.loss_agg_mode=token-mean
  actor_rollout_ref.actor.use_kl_loss=false
  actor_rollout_ref.actor.entropy_coeff=0
  actor_rollout_ref.actor.use_dynamic_bsz=true
  actor_rollout_ref.actor.ppo_max_token_len_per_gpu=16384
)
rollout=(
  actor_rollout_ref.rollout.name=vllm
  actor_rollout_ref.rollout.n=4
  actor_rollout_ref.rollout.temperature=1.0
  actor_rollout_ref.rollout.top_p=1.0
  actor_rollout_ref.rollout.tensor_model_parallel_size=1
  actor_rollout_ref.rollout.gpu_memory_utilization=0.6
  actor_rollout_ref.rollout.log_prob_use_dynamic_bsz=true
  actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=16384
)
trainer=(
  trainer.project_name=gd2po
  trainer.experiment_name=tool-calling
  'trainer.logger=[console]'
  "trainer.nnodes=$NODES"
  "trainer.n_gpus_per_node=$GPUS"
  trainer.total_epochs=30
  trainer.save_freq=5
  trainer.test_freq=10
  "trainer.default_local_dir=$RUN/checkpoints"
)

exec "$PYTHON" -m verl.trainer.main_ppo \
  "${method[@]}" "${reward[@]}" "${data[@]}" "${policy[@]}" "${rollout[@]}" "${trainer[@]}" "$@"
