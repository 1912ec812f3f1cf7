"""Run a job: train with checkpoints and logs, then publish.

job          what to train, on which data, and where the results go
pipeline     a job from its preset to a published version
follower     the part of the further processes of a training by several
start        begin with the weights of a published version
checkpoint   the state of a run after an epoch, to resume from
judged       train encoder and flow on after the last epoch, with the judge
run_log      history.csv and TensorBoard's files
sheets       samples and reconstructions, drawn while the run goes on
snapshots    what the network drew in the course of the training, for the version
events       what a run reports to the command line
"""
