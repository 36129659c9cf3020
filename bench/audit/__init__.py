"""The isolation audit: can a request get back what an earlier one hid in the same container?"""
