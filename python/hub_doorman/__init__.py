"""Hub Doorman: decides access requests to gated repos on the Hugging Face Hub."""
