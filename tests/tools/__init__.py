"""What tests are built with: tiny models, made-up runs, fake services."""
